"""What a picture shows, said by Florence-2: in words, or in places that are drawn on the picture."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from PIL import Image

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.models.handles import PictureDescriber
from inference.models.store import Store
from inference.networks.describer import TELLING
from inference.pictures import drawing, images
from inference.protocol import Answer, Describe, Reason, SourceType, because

REQUEST = Describe


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about describing."""
    return {"describers": tuple(catalog.tool_info("describer", name) for name in here["describer"])}


def too_large(request: Describe, catalog: Catalog) -> Reason:
    """For whom the memory was full; the size of the picture makes no difference."""
    return because("memory_for_tool", model=catalog.describers[request.model].title)


def run(requests: Sequence[Describe], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Answer requests that may be run and have begun; each ends through `report`."""
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
    """What the model's text means, or why there is no answer."""
    network, text = describer.network, request.text.strip()
    if request.task in TELLING:
        words = network.words(said, request.task)
        return Answer(text=words) if words else Answer(nothing=_nothing(request, text))
    regions = network.regions(said, request.task, text, request.image.width, request.image.height)
    return Answer(regions=regions) if regions else Answer(nothing=_nothing(request, text))


def _nothing(request: Describe, text: str) -> Reason:
    match request.task:
        case "read text" | "locate text":
            return because("no_text_there")
        case "find" | "segment" | "ground phrases":
            return because("nothing_like_it", typed=text)
        case "detect objects" | "caption regions":
            return because("nothing_there")
        case _:
            return because("no_words_for_it")


def _drawn(picture: Image.Image, source: SourceType, answer: Answer, made_of: dict[str, Any]) -> list[Painted]:
    if not answer.regions:
        return []
    texts = recipes.recipe_text(made_of)
    return [Painted(image=drawing.outlined(picture, answer.regions), source=source, texts=texts)]


def _wanted(job: int, report: Reporter) -> bool:
    return bool(report.still_wanted([job]))
