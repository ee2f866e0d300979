"""Words, and perhaps a picture to start from, to pictures. Requests that share a model and its settings are painted
together, step by step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from inference import recipes
from inference.catalog import remotes, teaching, together, weights
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.catalog.wildcards import Wildcards
from inference.device import Device
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.models.store import Store
from inference.painting import session, setups
from inference.painting.session import Failure, Painting
from inference.painting.wording import MAX_LORAS, gathered
from inference.protocol import Answer, Imagine, ModelInfo, Reason
from inference.protocol.limits import MAX_COUNT, MAX_PROMPT_CHARS

REQUEST = Imagine


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about painting."""
    return {
        "models": tuple(_info(catalog, name, here["refiner"], device) for name in here["model"]),
        "default_model": catalog.default,
        "missing": tuple(name for name in catalog.models if name not in here["model"]),
        "max_count": MAX_COUNT,
        "max_prompt_chars": MAX_PROMPT_CHARS,
        "loras": tuple(catalog.add_on_info(name, catalog.loras[name]) for name in here["lora"]),
        "controls": tuple(
            catalog.add_on_info(name, catalog.controls[name], beside)
            for name, beside in together.beside(catalog, here["control"]).items()
        ),
        "embeddings": tuple(catalog.add_on_info(name, catalog.embeddings[name]) for name in here["embedding"]),
        "wildcards": Wildcards(catalog.wildcards).names(),
        "max_loras": MAX_LORAS,
        "elsewhere": tuple(catalog.remotes),
        "keys": remotes.keys(catalog.remotes),
    }


def _info(catalog: Catalog, name: str, refiners: Sequence[str], device: Device) -> ModelInfo:
    info = catalog.info(name, on_gpu=device.is_cuda)
    entry = catalog.models[name]
    taught = teaching.of(entry)
    info = replace(
        info,
        fills=info.fills or weights.edits_only(catalog, name),
        training=None if taught is None else taught.info(info.width * info.height),
    )
    return info if info.refiner is None or info.refiner.name in refiners else replace(info, refiner=None)


def too_large(request: Imagine, catalog: Catalog) -> Reason:
    """For who asked for more than the memory holds, with a smaller size."""
    return setups.too_large(request, catalog)


def run(requests: Sequence[Imagine], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Paint requests of one `pass_key` that may be run and have begun, and those that board meanwhile; each ends
    through `report`.

    Of a job one picture of which comes to nothing, nothing is shown.
    """
    paintings: dict[int, list[Painting]] = defaultdict(list)
    for made in session.paint(requests, files, store, report):
        request, job = made.request, made.request.job
        if isinstance(made, Failure):
            # All of it, for the buttons under a result know its pictures by their places.
            report.fail(job, made.error.kind, made.error.reason)
            continue
        paintings[job].append(made)
        if len(paintings[job]) == request.count:
            # Where a part of a picture was painted, the rest keeps its bits.
            watermark = report.marks.watermark_of(made.image, made.mask)
            made_of = recipes.of_pictures([{**each.recipe, "watermark": watermark} for each in paintings[job]])
            painted = [_painted(each, watermark) for each in paintings[job]]
            report.finish(job, painted, made_of, _answer(paintings[job]))


def _answer(paintings: Sequence[Painting]) -> Answer:
    notes = gathered(note for each in paintings for note in each.notes)
    drawn = tuple(each.drawn for each in paintings if each.drawn is not None)
    # All of them or none: the buttons under a result know its pictures by their places.
    return Answer(notes=notes, drawn=drawn if len(drawn) == len(paintings) else ())


def _painted(made: Painting, watermark: Mapping[str, Any] | None) -> Painted:
    request, seed = made.request, made.request.seed_of(made.index)
    texts = recipes.png_texts(request, seed, made.index, {**made.recipe, "watermark": watermark})
    source = recipes.source_of(request)
    return Painted(
        image=made.image,
        seed=seed,
        source=source,
        made_by=marking.made_by(made.recipe),
        texts=texts,
        watermarked=watermark is not None,
        within=made.mask,
        flagged=made.flagged,
    )
