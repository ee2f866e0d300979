"""What a picture shows, said by Florence-2: in words, or in places that are drawn on the picture."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from PIL import Image

from inference import recipes
from inference.catalog.entries import Kind
from inference.catalog.reading import Catalog
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.models.handles import PictureDescriber
from inference.models.store import Store
from inference.networks.describer import TELLING, check_question
from inference.pictures import drawing, images
from inference.protocol import Answer, Describe, SourceType

REQUEST = Describe


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]]) -> dict[str, Any]:
    """What `protocol.Ready` says about describing."""
    return {"describers": tuple(catalog.tool_info("describer", name) for name in here["describer"])}


def check(request: Describe, catalog: Catalog) -> None:
    """Raise InvalidInput or UnavailableModel, in a sentence for the member, where this cannot be asked."""
    check_question(request.model, request.task, request.text, catalog)


def too_large(request: Describe, catalog: Catalog) -> str:
    """A sentence for whom the memory was full; the size of the picture makes no difference."""
    return f"The device's memory is full: {catalog.describers[request.model].title} does not run now; try again later."


def run(requests: Sequence[Describe], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Answer requests that have been checked and begun; each ends through `report`."""
    for request in requests:
        picture = images.opaque(images.read(files, request.image))
        describer = store.use_describer(request.model, functools.partial(report.step, request.job, 0, 1, "loading"))
        report.step(request.job, 0, 1)
        wanted = functools.partial(_wanted, request.job, report)
        said = describer.network.say(picture, request.task, request.text.strip(), wanted)
        if wanted():
            file = files[request.image.sha256]
            answer = answered(said, request, describer)
            answer = msgspec.structs.replace(answer, origin=marking.origin(picture, file))
            made_of = recipes.reading(request, describer, store.device)
            source = marking.source_kept(answer.origin, file)
            report.finish(request.job, _drawn(picture, source, answer, made_of), made_of, answer)


def answered(said: str, request: Describe, describer: PictureDescriber) -> Answer:
    """What the model's text means; a sentence where it found nothing."""
    network, text = describer.network, request.text.strip()
    if request.task in TELLING:
        none = "There is no text to be read." if request.task == "read text" else "The model found no words for it."
        return Answer(text=network.words(said, request.task) or none)
    regions = network.regions(said, request.task, text, request.image.width, request.image.height)
    return Answer(regions=regions) if regions else Answer(text=_nothing(request, text))


def _nothing(request: Describe, text: str) -> str:
    match request.task:
        case "locate text":
            return "There is no text to be read."
        case "find" | "segment" | "ground phrases":
            return f"Nothing like “{text}” was found."
        case _:
            return "Nothing was found."


def _drawn(picture: Image.Image, source: SourceType, answer: Answer, made_of: dict[str, Any]) -> list[Painted]:
    if not answer.regions:
        return []
    texts = recipes.recipe_text(made_of)
    return [Painted(image=drawing.outlined(picture, answer.regions), source=source, texts=texts)]


def _wanted(job: int, report: Reporter) -> bool:
    return bool(report.still_wanted([job]))
