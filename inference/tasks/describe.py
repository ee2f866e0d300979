"""What a picture shows, said by Florence-2: in words, or in places that are drawn on the picture."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from PIL import Image

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange import looking
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.models.handles import PictureDescriber
from inference.models.store import Store
from inference.networks.describer import TELLING
from inference.pictures import drawing, images
from inference.protocol import Answer, CaptionTask, Describe, Reason, SourceType, because

REQUEST = Describe


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about describing."""
    return {"describers": tuple(catalog.tool_info("describer", name, device.is_cuda) for name in here["describer"])}


def too_large(request: Describe, catalog: Catalog) -> Reason:
    """For whom the memory was full; the size of the picture makes no difference."""
    return because("memory_for_tool", model=catalog.describers[request.model].title)


def run(requests: Sequence[Describe], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Answer requests of one pass key that may be run and have begun, and those that board meanwhile; each ends through
    `report`."""

    def loading() -> None:
        for request in requests:
            report.step(request.job, 0, 1, "loading")

    first = requests[0]
    describer = store.use_describer(first.model, loading)
    network, asked = describer.network, describer.entry.questions.get(first.language, {})
    question = asked.get(cast(CaptionTask, first.task), "")
    for seen in looking.in_passes(requests, files, network.batch, report):
        pictures = [images.opaque(picture) for _, picture, _ in seen]
        wanted = functools.partial(_wanted, [request.job for request, _, _ in seen], report)
        answers = network.answers(pictures, first.task, first.text.strip(), wanted, question)
        for (request, _, file), picture, said in zip(seen, pictures, answers, strict=True):
            if _wanted([request.job], report):
                _finish(request, picture, said, file, describer, store, report)


def _finish(
    request: Describe,
    picture: Image.Image,
    said: str,
    file: bytes,
    describer: PictureDescriber,
    store: Store,
    report: Reporter,
) -> None:
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


def _wanted(jobs: Sequence[int], report: Reporter) -> bool:
    return bool(report.still_wanted(jobs))
