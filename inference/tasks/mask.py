"""Which part of a picture is meant, by words that Florence-2 looks for or by a mask that somebody drew: the mask, and
the picture with what it marks tinted."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.pictures import drawing, images, masking
from inference.protocol import Answer, Mask, Reason, because

REQUEST = Mask


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about masks: nothing that `tasks.describe` does not."""
    return {}


def too_large(request: Mask, catalog: Catalog) -> Reason:
    """For whom the memory was full; the size of the picture makes no difference."""
    titles = {name: entry.title for name, entry in catalog.remotes.items()}
    known = catalog.describers if request.drawn is None else catalog.models
    titles |= {name: entry.title for name, entry in known.items()}
    return because("memory_for_tool", model=titles[request.model])


def run(requests: Sequence[Mask], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Find what requests mean that may be run and have begun; each ends through `report`.

    Two pictures come of one: what to look at, and the mask. None where nothing was found, or nothing is left.
    """
    for request in requests:
        picture = images.opaque(images.read(files, request.image))
        if request.drawn is not None:
            report.step(request.job, 0, 1)
            given = images.read(files, request.drawn).convert("L")
            mask = masking.changed(given, grow=request.grow, invert=request.invert)
            _finish(request, picture, mask, recipes.masking(request), report)
            continue
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
            report.finish(request.job, [], made_of, Answer(nothing=because("nothing_like_it", typed=text)))
            continue
        mask = masking.drawn(regions, picture.size, grow=request.grow, invert=request.invert)
        _finish(request, picture, mask, made_of, report)


def _finish(request: Mask, picture: Image.Image, mask: Image.Image, made_of: dict[str, Any], report: Reporter) -> None:
    if mask.getbbox() is None:
        return report.finish(request.job, [], made_of, Answer(nothing=because("nothing_marked")))
    texts = recipes.recipe_text(made_of)
    shown = Painted(image=drawing.tinted(picture, mask), source="algorithmicallyEnhanced", texts=texts)
    kept = Painted(image=mask, source="dataDrivenMedia", texts=texts)
    return report.finish(request.job, [shown, kept], made_of)
