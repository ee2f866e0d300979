"""Words, and perhaps a picture to start from, to pictures. Requests that share a model and its settings are painted
together, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from PIL import Image

from inference import recipes
from inference.catalog.entries import AddOnEntry, Kind, ModelEntry
from inference.catalog.reading import Catalog
from inference.errors import InvalidInput, UnavailableModel
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.painting import session, setups
from inference.painting.session import Failure
from inference.protocol import MAX_SEED, MAX_STYLE_CHARS, Answer, Hires, Imagine, ModelInfo, weight_problem

REQUEST = Imagine
MAX_COUNT = 4
MAX_PROMPT_CHARS = 2000
MAX_VARIATIONS = 16
MAX_LORAS = 3


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]]) -> dict[str, Any]:
    """What `protocol.Ready` says about painting."""
    return {
        "models": tuple(_info(catalog, name, here["refiner"]) for name in here["model"]),
        "default_model": catalog.default,
        "missing": tuple(name for name in catalog.models if name not in here["model"]),
        "max_count": MAX_COUNT,
        "max_prompt_chars": MAX_PROMPT_CHARS,
        "loras": tuple(catalog.add_on_info(name, catalog.loras[name]) for name in here["lora"]),
        "controls": tuple(catalog.add_on_info(name, catalog.controls[name]) for name in here["control"]),
        "max_loras": MAX_LORAS,
    }


def _info(catalog: Catalog, name: str, refiners: Sequence[str]) -> ModelInfo:
    info = catalog.info(name)
    return info if info.refiner is None or info.refiner.name in refiners else replace(info, refiner=None)


def check(request: Imagine, catalog: Catalog) -> None:
    """Raise InvalidInput or UnavailableModel, in a sentence for the member, where this cannot be painted.

    The bot has checked the same limits; this process trusts nobody.
    """
    if request.model not in catalog.models:
        raise UnavailableModel(f"There is no model called {request.model}.")
    entry = catalog.models[request.model]
    if not request.prompt.strip():
        raise InvalidInput("The prompt is empty: say what to paint.")
    for what, text in (("prompt", request.prompt), ("negative prompt", request.negative)):
        if len(text) > MAX_PROMPT_CHARS:
            raise InvalidInput(f"The {what} has {len(text)} characters; at most {MAX_PROMPT_CHARS} are read.")
    if request.negative and not entry.negative:
        raise InvalidInput(f"{entry.title} takes no negative prompt: leave it out.")
    if request.style is not None and max(len(request.style.prompt), len(request.style.negative)) > MAX_STYLE_CHARS:
        raise InvalidInput(f"The style has too many words: at most {MAX_STYLE_CHARS} characters are read.")
    for text in request.styled:
        if problem := weight_problem(text):
            raise InvalidInput(problem)
    if request.sampler not in entry.admitted_samplers():
        choices = ", ".join(entry.admitted_samplers())
        raise InvalidInput(f"{entry.title} has no sampler {request.sampler}; choose one of {choices}.")
    if not 1 <= request.steps <= entry.max_steps:
        raise InvalidInput(f"{entry.title} takes 1 to {entry.max_steps} steps, not {request.steps}.")
    if request.guidance > entry.max_guidance and not entry.guided:
        raise InvalidInput(f"{entry.title} takes no guidance: leave it out.")
    if not 0 <= request.guidance <= entry.max_guidance:
        raise InvalidInput(f"{entry.title} takes a guidance of 0 to {entry.max_guidance:g}, not {request.guidance:g}.")
    if not 1 <= request.count <= MAX_COUNT:
        raise InvalidInput(f"One request paints 1 to {MAX_COUNT} pictures, not {request.count}.")
    _check_size(request.width, request.height, entry)
    for seed in (request.seed, *(variation.seed for variation in request.variations)):
        if not 0 <= seed <= MAX_SEED:
            raise InvalidInput(f"A seed is a whole number from 0 to {MAX_SEED}, not {seed}.")
    _check_strength(request.strength)
    if request.image is None and request.strength != 1:
        raise InvalidInput("The strength says how far to go from a picture: give the picture too.")
    if request.hires is not None:
        _check_hires(request.hires, request, entry)
    if request.refiner is not None and request.refiner.name != entry.refiner:
        raise InvalidInput(f"{entry.title} does not go with the refiner {request.refiner.name}; leave it out.")
    if request.refiner is not None and not 0 < request.refiner.share < 1:
        raise InvalidInput(f"A refiner takes a share of the steps between 0 and 1, not {request.refiner.share:g}.")
    if request.mask is not None:
        if request.image is None:
            raise InvalidInput("A mask says which part of a picture is painted: give the picture too.")
        if (request.mask.width, request.mask.height) != (request.image.width, request.image.height):
            raise InvalidInput("The mask has another size than the picture.")
    if len(request.variations) > MAX_VARIATIONS:
        raise InvalidInput(f"At most {MAX_VARIATIONS} variations can be made of variations; start from a new seed.")
    for variation in request.variations:
        if not 0 <= variation.strength <= 1:
            raise InvalidInput(f"The strength of a variation is 0 to 1, not {variation.strength:g}.")
    if len(request.loras) > MAX_LORAS:
        raise InvalidInput(f"At most {MAX_LORAS} LoRAs go together, not {len(request.loras)}.")
    if len({lora.name for lora in request.loras}) < len(request.loras):
        raise InvalidInput("A LoRA comes twice; name each once.")
    for lora in request.loras:
        _check_add_on("LoRA", lora.name, catalog.loras, request.model, entry)
        if not -2 <= lora.weight <= 2:
            raise InvalidInput(f"The weight of a LoRA is -2 to 2, not {lora.weight:g}.")
    if request.control is not None:
        _check_add_on("ControlNet", request.control.name, catalog.controls, request.model, entry)
        if not 0 <= request.control.weight <= 2:
            raise InvalidInput(f"The weight of a ControlNet is 0 to 2, not {request.control.weight:g}.")


def _check_add_on(what: str, name: str, known: Mapping[str, AddOnEntry], model: str, entry: ModelEntry) -> None:
    if name not in known:
        raise UnavailableModel(f"There is no {what} called {name}.")
    if model not in known[name].models:
        raise InvalidInput(f"The {what} {known[name].title} does not go with {entry.title}; leave it out.")


def _check_strength(strength: float) -> None:
    if not 0 < strength <= 1:
        raise InvalidInput(f"The strength is more than 0 and at most 1, not {strength:g}.")


def _check_hires(hires: Hires, request: Imagine, entry: ModelEntry) -> None:
    _check_strength(hires.strength)
    if request.mask is not None:
        raise InvalidInput("Where a part of a picture is painted there is no second pass; leave hires out.")
    if hires.width % entry.size_multiple or hires.height % entry.size_multiple:
        raise InvalidInput(f"{entry.title} paints sizes in steps of {entry.size_multiple} pixels.")
    if hires.width < request.width or hires.height < request.height:
        raise InvalidInput("The second pass paints no smaller pictures than the first.")
    if hires.width * hires.height > entry.hires_pixels:
        raise InvalidInput(
            f"{hires.width}x{hires.height} is too large for a second pass of {entry.title}:"
            f" width times height may be {entry.hires_pixels} at most."
        )


def _check_size(width: int, height: int, entry: ModelEntry) -> None:
    for what, size in (("width", width), ("height", height)):
        if not entry.min_size <= size <= entry.max_size or size % entry.size_multiple:
            raise InvalidInput(
                f"{entry.title} takes a {what} of {entry.min_size} to {entry.max_size} pixels"
                f" in steps of {entry.size_multiple}, not {size}."
            )
    if width * height > entry.max_pixels:
        raise InvalidInput(
            f"{width}x{height} is too large for {entry.title}: width times height may be {entry.max_pixels} at most."
        )


def too_large(request: Imagine, catalog: Catalog) -> str:
    """A sentence for who asked for more than the memory holds, naming a smaller size."""
    return setups.too_large(request, catalog)


def run(requests: Sequence[Imagine], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Paint requests of one `pass_key` that have been checked and begun; each ends through `report`.

    Of a job one picture of which comes to nothing, nothing is shown.
    """
    pictures: dict[int, list[Image.Image]] = {request.job: [] for request in requests}
    for made in session.paint(requests, files, store, report):
        request, job = made.request, made.request.job
        if isinstance(made, Failure):
            # All of it, for the buttons under a result know its pictures by their places.
            report.fail(job, made.error.kind, str(made.error))
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
