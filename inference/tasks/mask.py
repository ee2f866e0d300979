"""Which part of a picture some words mean, said by Florence-2: a mask, and the picture with what it marks tinted."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from inference import recipes
from inference.catalog.entries import Kind
from inference.catalog.reading import Catalog
from inference.errors import InvalidInput
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.networks.describer import check_question
from inference.pictures import drawing, images, masking
from inference.protocol import MAX_GROWN, Answer, Mask

REQUEST = Mask


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]]) -> dict[str, Any]:
    """What `protocol.Ready` says about masks: nothing that `tasks.describe` does not."""
    return {}


def check(request: Mask, catalog: Catalog) -> None:
    """Raise InvalidInput or UnavailableModel, in a sentence for the member, where this cannot be asked."""
    check_question(request.model, "segment", request.text, catalog)
    if abs(request.grow) > MAX_GROWN:
        raise InvalidInput(f"A mask grows or shrinks by up to {MAX_GROWN} steps, not {request.grow}.")


def too_large(request: Mask, catalog: Catalog) -> str:
    """A sentence for whom the memory was full; the size of the picture makes no difference."""
    return f"The device's memory is full: {catalog.describers[request.model].title} does not run now; try again later."


def run(requests: Sequence[Mask], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Find what requests mean that have been checked and begun; each ends through `report`.

    Two pictures come of one: what to look at, and the mask. None where nothing was found.
    """
    for request in requests:
        picture = images.opaque(images.read(files, request.image))
        describer = store.use_describer(request.model, functools.partial(report.step, request.job, 0, 1, "loading"))
        report.step(request.job, 0, 1)

        def wanted(job: int = request.job) -> bool:
            return bool(report.still_wanted([job]))

        text = request.text.strip()
        said = describer.network.say(picture, "segment", text, wanted)
        if not wanted():
            continue
        regions = describer.network.regions(said, "segment", text, *picture.size)
        made_of = recipes.reading(request, describer, store.device)
        if not regions:
            report.finish(request.job, [], made_of, Answer(text=f"Nothing like “{text}” was found."))
            continue
        mask = masking.drawn(regions, picture.size, grow=request.grow, invert=request.invert)
        texts = recipes.recipe_text(made_of)
        shown = Painted(image=drawing.tinted(picture, mask), source="algorithmicallyEnhanced", texts=texts)
        kept = Painted(image=mask, source="dataDrivenMedia", texts=texts)
        report.finish(request.job, [shown, kept], made_of)
