"""Words, and perhaps a picture to start from, to pictures. Requests that share a model and its settings are painted
together, step by step.

The bytes of a picture depend on its own request alone: its noise comes from its own seed, its words are encoded
alone, every pass of the denoiser has the model's one canonical batch size (a smaller one is filled up with copies,
a larger one is split), and it is decoded, checked and enlarged alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace
from PIL import Image

from inference import recipes
from inference.catalog.entries import AddOnEntry, Kind, ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import InvalidInput, NotFinite, UnavailableModel, Unsafe
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models import policy
from inference.models.handles import PictureModel, Setup
from inference.models.store import Store
from inference.painting import decoding
from inference.painting.session import Session, Sketch
from inference.protocol import MAX_SEED, MAX_STYLE_CHARS, Answer, Hires, Imagine, ModelInfo, weigh_words, weight_problem

log = logging.getLogger(__name__)

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


def canonical_batch(entry: ModelEntry, width: int, height: int, device: Device) -> int:
    """How many pictures every pass paints at this size on this device, always.

    On a CPU it is 1, where filling up costs as much as painting; so it is for pictures larger than the model's own.
    """
    return entry.batch if device.is_cuda and width * height <= entry.width * entry.height else 1


def too_large(request: Imagine, catalog: Catalog) -> str:
    """A sentence for who asked for more than the memory holds, naming a size of about half as many pixels."""
    entry = catalog.models[request.model]
    largest = request.second or request
    least = entry.min_size if largest is request else 0
    sizes = [
        max(least, int(size * 0.7) // entry.size_multiple * entry.size_multiple)
        for size in (largest.width, largest.height)
    ]
    asked = f"{largest.width}x{largest.height}"
    if largest is not request:
        fits = sizes[0] >= request.width and sizes[1] >= request.height
        instead = f"try {sizes[0]}x{sizes[1]}" if fits else "leave it out"
        return f"A second pass at {asked} does not fit into the device's memory; {instead}."
    if sizes == [request.width, request.height]:
        return f"The device's memory is full and {asked} is the smallest size of {entry.title}; try again later."
    return f"{asked} does not fit into the device's memory; try {sizes[0]}x{sizes[1]}."


def run(requests: Sequence[Imagine], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Paint requests of one `pass_key` that have been checked and begun; each ends through `report`.

    Where the model has a safety checker, a job of which one picture is flagged ends there, with nothing to show.
    """
    first = requests[0]

    def loading() -> None:
        for request in requests:
            report.step(request.job, 0, request.steps_together, "loading")

    largest = first.second or first
    model = store.use(first.model, loading, largest.width * largest.height)
    refiner = None if first.refiner is None else store.use_refiner(first.refiner.name, loading)
    upscaler = None if model.entry.upscaler is None else store.use_upscaler(model.entry.upscaler, loading)
    checker = None if model.entry.checker is None else store.use_checker(model.entry.checker, loading)
    # A preview would show what has not been checked.
    sketch = None if checker is not None else _sketcher(model, store, loading)
    control = annotator = None
    if first.control is not None and first.control.weight:
        control = store.use_control(first.control.name, loading)
        annotator = store.use_annotator(control.entry.annotator, loading)
    store.adapt(model, first.loras, report.loading)
    setup = Setup(
        model=model,
        refiner=refiner,
        control=control,
        annotator=annotator,
        upscaler=upscaler,
        checker=checker,
        device=store.device,
        batch=canonical_batch(model.entry, first.width, first.height, store.device),
    )
    session = Session(requests, files, setup, report, sketch)
    pictures: dict[int, list[Image.Image]] = {request.job: [] for request in requests}
    for place, picture in session.paint():
        request, job = place.request, place.request.job
        if not report.still_wanted([job]):
            continue
        try:
            # Before it is enlarged: the checker looks at a small copy anyway, and what is flagged needs no more.
            if checker is not None:
                checker.network.check(picture)
            if upscaler is not None:
                picture = upscaler.network.enlarge(picture, before_tile=report.alive)
        except (Unsafe, NotFinite) as error:
            # All of it, for the buttons under a result know its pictures by their places.
            report.fail(job, error.kind, str(error))
            continue
        pictures[job].append(session.put_back(job, picture))
        if len(pictures[job]) == request.count:
            made_of = recipes.recipe(request, setup, session.scheduler)
            # Where a part of a picture was painted, the watermark would change the rest.
            made_of["watermark"] = None if request.mask else report.marks.watermark_of(picture)
            painted = _painted(request, pictures[job], made_of)
            report.finish(job, painted, made_of, Answer(notes=_notes(request, model)))


def _sketcher(model: PictureModel, store: Store, loading: Callable[[], None]) -> Sketch | None:
    """What makes previews: the decoder that the model names, or its own VAE where that is not to be had.

    None where the VAE would have to change places with the denoiser for each of them.
    """
    loaded = None if model.entry.decoder is None else store.use_decoder(model.entry.decoder, loading)
    decoder = None if loaded is None else loaded.network
    if decoder is not None and decoder.config.latent_channels != model.latent_channels:
        log.warning("%s: the decoder %s is of another family and shows nothing", model.name, model.entry.decoder)
        decoder = None
    if decoder is None and model.policy.offload == "model":
        return None
    return partial(decoding.sketch, model.pipeline, model.family, decoder=decoder)


def _notes(request: Imagine, model: PictureModel) -> tuple[str, ...]:
    """What the member shall know of how the words were read and the picture was made."""
    notes = []
    weighed = any(part.weight != 1 for text in request.styled for part in weigh_words(text))
    if weighed and not model.prompts.weighs:
        notes.append(f"{model.entry.title} does not weigh words: the weights were left out.")
    if model.thrifty:
        notes.append(f"The memory was full, so this was painted thriftily: {policy.in_words(model.policy)}.")
    return tuple(notes)


def _painted(request: Imagine, pictures: Sequence[Image.Image], made_of: dict[str, Any]) -> list[Painted]:
    painted = []
    for index, picture in enumerate(pictures):
        seed = request.seed_of(index)
        texts = recipes.png_texts(request, seed, index, made_of)
        marked = made_of["watermark"] is not None
        source = recipes.source_of(request)
        painted.append(Painted(image=picture, seed=seed, source=source, texts=texts, watermarked=marked))
    return painted
