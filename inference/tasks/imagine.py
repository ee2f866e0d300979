"""Words, and perhaps a picture to start from, to pictures. Requests that share a model and its settings are painted
together, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from PIL import Image

from inference import recipes
from inference.catalog import weights
from inference.catalog.entries import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.painting import session, setups
from inference.painting.session import Failure
from inference.protocol import Answer, Imagine, ModelInfo, Reason

REQUEST = Imagine
MAX_COUNT = 4
MAX_PROMPT_CHARS = 4000
"""With the words of its style: as many as Discord's form holds, in which it is edited."""
MAX_LORAS = 3


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about painting."""
    return {
        "models": tuple(_info(catalog, name, here["refiner"], device) for name in here["model"]),
        "default_model": catalog.default,
        "missing": tuple(name for name in catalog.models if name not in here["model"]),
        "max_count": MAX_COUNT,
        "max_prompt_chars": MAX_PROMPT_CHARS,
        "loras": tuple(catalog.add_on_info(name, catalog.loras[name]) for name in here["lora"]),
        "controls": tuple(catalog.add_on_info(name, catalog.controls[name]) for name in here["control"]),
        "max_loras": MAX_LORAS,
    }


def _info(catalog: Catalog, name: str, refiners: Sequence[str], device: Device) -> ModelInfo:
    info = catalog.info(name, on_gpu=device.is_cuda)
    info = replace(info, fills=info.fills or weights.edits_only(catalog, name))
    return info if info.refiner is None or info.refiner.name in refiners else replace(info, refiner=None)


def too_large(request: Imagine, catalog: Catalog) -> Reason:
    """For who asked for more than the memory holds, with a smaller size."""
    return setups.too_large(request, catalog)


def run(requests: Sequence[Imagine], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Paint requests of one `pass_key` that may be run and have begun; each ends through `report`.

    Of a job one picture of which comes to nothing, nothing is shown.
    """
    pictures: dict[int, list[Image.Image]] = {request.job: [] for request in requests}
    for made in session.paint(requests, files, store, report):
        request, job = made.request, made.request.job
        if isinstance(made, Failure):
            # All of it, for the buttons under a result know its pictures by their places.
            report.fail(job, made.error.kind, made.error.reason)
            continue
        pictures[job].append(made.image)
        if len(pictures[job]) == request.count:
            # Where a part of a picture was painted, the watermark would change the rest.
            watermark = None if request.mask else report.marks.watermark_of(made.image)
            made_of = {**made.recipe, "watermark": watermark}
            report.finish(job, _painted(request, pictures[job], made_of), made_of, Answer(notes=made.notes))


def _painted(request: Imagine, pictures: Sequence[Image.Image], made_of: dict[str, Any]) -> list[Painted]:
    painted = []
    for index, picture in enumerate(pictures):
        seed = request.seed_of(index)
        texts = recipes.png_texts(request, seed, index, made_of)
        marked = made_of["watermark"] is not None
        source = recipes.source_of(request)
        painted.append(Painted(image=picture, seed=seed, source=source, texts=texts, watermarked=marked))
    return painted
