"""Words to pictures: requests that share a model and its settings are painted together, step by step.

The bytes of a picture depend on its own request alone: its noise comes from its own seed, its words are encoded
alone, every pass of the denoiser has the model's one canonical batch size (a smaller one is filled up with copies,
a larger one is split), and it is decoded and enlarged alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from inference import decoding, noise, prompts, provenance, samplers
from inference.catalog import Catalog, ModelEntry
from inference.device import Device
from inference.errors import InvalidInput, UnavailableModel
from inference.protocol import MAX_SEED, Imagine
from inference.reports import Painted, Reporter
from inference.store import PictureModel, Store

MAX_COUNT = 4
MAX_PROMPT_CHARS = 2000
MAX_VARIATIONS = 16

FIRST_PREVIEW_S = 0.3
PREVIEW_INTERVAL_S = 0.7
PREVIEW_SHARE = 0.05
"""Previews may take at most this share of the time: the next one waits until the last has been paid for."""


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
    if request.sampler not in entry.admitted_samplers():
        choices = ", ".join(entry.admitted_samplers())
        raise InvalidInput(f"{entry.title} has no sampler {request.sampler}; choose one of {choices}.")
    if not 1 <= request.steps <= entry.max_steps:
        raise InvalidInput(f"{entry.title} takes 1 to {entry.max_steps} steps, not {request.steps}.")
    if not 0 <= request.guidance <= entry.max_guidance:
        raise InvalidInput(f"{entry.title} takes a guidance of 0 to {entry.max_guidance:g}, not {request.guidance:g}.")
    if not 1 <= request.count <= MAX_COUNT:
        raise InvalidInput(f"One request paints 1 to {MAX_COUNT} pictures, not {request.count}.")
    _check_size(request.width, request.height, entry)
    for seed in (request.seed, *(variation.seed for variation in request.variations)):
        if not 0 <= seed <= MAX_SEED:
            raise InvalidInput(f"A seed is a whole number from 0 to {MAX_SEED}, not {seed}.")
    if len(request.variations) > MAX_VARIATIONS:
        raise InvalidInput(f"At most {MAX_VARIATIONS} variations can be made of variations; start from a new seed.")
    for variation in request.variations:
        if not 0 <= variation.strength <= 1:
            raise InvalidInput(f"The strength of a variation is 0 to 1, not {variation.strength:g}.")


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
    sizes = [
        max(entry.min_size, int(size * 0.7) // entry.size_multiple * entry.size_multiple)
        for size in (request.width, request.height)
    ]
    asked = f"{request.width}x{request.height}"
    if sizes == [request.width, request.height]:
        return f"The device's memory is full and {asked} is the smallest size of {entry.title}; try again later."
    return f"{asked} does not fit into the device's memory; try {sizes[0]}x{sizes[1]}."


def run(requests: Sequence[Imagine], store: Store, report: Reporter) -> None:
    """Paint requests of one `pass_key` that have been checked and begun; each ends through `report`."""
    first = requests[0]

    def loading() -> None:
        for request in requests:
            report.step(request.job, 0, request.steps * request.count, "loading")

    model = store.use(first.model, loading)
    upscaler = None if model.entry.upscaler is None else store.use_upscaler(model.entry.upscaler, loading)
    size = canonical_batch(model.entry, first.width, first.height, store.device)
    session = _Session(requests, model, store.device, report, size)
    for request in requests:
        report.step(request.job, 0, session.steps_of(request.job))
    while places := session.next_places():
        latents = session.denoise(places)
        for place, latent in zip(places, latents, strict=False):
            job = place.request.job
            if not report.still_wanted([job]):
                continue
            if session.steps_done(job) == session.steps_of(job):
                report.step(job, session.steps_of(job), session.steps_of(job), "finishing")
            (picture,) = decoding.decode(model.pipeline, model.entry.family, latent.unsqueeze(0))
            if upscaler is not None:
                picture = upscaler.network.enlarge(picture)
            session.pictures[job].append(picture)
            if len(session.pictures[job]) == place.request.count:
                made_of = provenance.recipe(place.request, model, session.scheduler, upscaler, store.device, size)
                report.finish(job, _painted(place.request, model, session.pictures[job], made_of), made_of)


def _painted(
    request: Imagine, model: PictureModel, pictures: Sequence[Image.Image], made_of: dict[str, Any]
) -> list[Painted]:
    painted = []
    for index, picture in enumerate(pictures):
        seed = noise.picture_seed(request, index)
        texts = provenance.png_texts(request, model, seed, index, made_of)
        painted.append(Painted(image=picture, seed=seed, texts=texts))
    return painted


class _Abandoned(Exception):
    """Every job of the running pass has been cancelled."""


@dataclass(frozen=True)
class _Place:
    """One picture of one request: its place in a batch."""

    request: Imagine
    index: int


class _Session:
    """Requests of one pass key on their way: what is painted, what waits, when the next preview is due."""

    def __init__(
        self, requests: Sequence[Imagine], model: PictureModel, device: Device, report: Reporter, size: int
    ) -> None:
        self.pictures: dict[int, list[Image.Image]] = {request.job: [] for request in requests}
        self.scheduler: Any = None
        self._requests = {request.job: request for request in requests}
        self._waiting = [_Place(request, index) for request in requests for index in range(request.count)]
        self._model = model
        self._device = device
        self._report = report
        self._size = size
        self._preview_due_s = time.monotonic() + FIRST_PREVIEW_S

    def next_places(self) -> list[_Place]:
        """The pictures of the next pass, at most the canonical batch; none when all are painted or cancelled."""
        wanted = self._report.still_wanted({place.request.job: None for place in self._waiting})
        waiting = [place for place in self._waiting if place.request.job in wanted]
        self._waiting = waiting[self._size :]
        return waiting[: self._size]

    def steps_of(self, job: int) -> int:
        """The steps that all pictures of a job take together."""
        request = self._requests[job]
        return request.steps * request.count

    def steps_done(self, job: int) -> int:
        """The steps of its pictures that are no longer waiting."""
        waiting = sum(place.request.job == job for place in self._waiting)
        return self.steps_of(job) - waiting * self._requests[job].steps

    def denoise(self, places: list[_Place]) -> torch.Tensor:
        """The finished latents of these places, in their order, followed by copies that only filled the batch.

        Empty where all of their jobs were cancelled on the way.
        """
        first = places[0].request
        filled = places + [places[0]] * (self._size - len(places))
        channels = self._model.denoiser.config.in_channels
        factor = self._model.pipeline.vae_scale_factor
        shape = (1, channels, first.height // factor, first.width // factor)
        noises, generators = zip(*(noise.draw(at.request, at.index, shape) for at in filled), strict=True)
        guided = first.guidance > 1
        words = prompts.stack(
            [self._model.prompts.encode(at.request.prompt, at.request.negative, guided) for at in filled]
        )
        self.scheduler = samplers.build(first.sampler, self._model.scheduler_config, first.steps)
        self._model.pipeline.scheduler = self.scheduler
        estimate = samplers.Estimate(self.scheduler)

        def after_step(_: Any, step: int, __: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            self._after_step(places, step + 1, estimate.latents())
            return tensors

        try:
            latents: torch.Tensor = self._model.pipeline(
                height=first.height,
                width=first.width,
                num_inference_steps=first.steps,
                guidance_scale=first.guidance,
                latents=torch.cat(noises).to(device=self._device.where, dtype=self._model.dtype),
                generator=list(generators),
                callback_on_step_end=after_step,
                output_type="latent",
                return_dict=False,
                **words,
            )[0]
        except _Abandoned:
            return torch.empty(0)
        return latents

    def _after_step(self, places: list[_Place], step: int, estimate: torch.Tensor | None) -> None:
        jobs = list(dict.fromkeys(place.request.job for place in places))
        wanted = self._report.still_wanted(jobs)
        if not wanted:
            raise _Abandoned
        for job in wanted:
            here = sum(place.request.job == job for place in places)
            ahead = self._requests[job].steps - step
            self._report.step(job, self.steps_done(job) - here * ahead, self.steps_of(job))
        if estimate is not None and step < places[0].request.steps and time.monotonic() >= self._preview_due_s:
            self._preview(places, estimate[: len(places)], wanted)

    def _preview(self, places: list[_Place], estimate: torch.Tensor, wanted: list[int]) -> None:
        self._device.settle()
        began_s = time.monotonic()
        sketches = decoding.sketch(self._model.pipeline, self._model.entry.family, estimate)
        ended_s = time.monotonic()
        self._preview_due_s = ended_s + max(PREVIEW_INTERVAL_S, (ended_s - began_s) / PREVIEW_SHARE)
        for job in wanted:
            request = self._requests[job]
            running = [sketch for place, sketch in zip(places, sketches, strict=True) if place.request.job == job]
            so_far: list[Image.Image | None] = [*self.pictures[job], *running]
            so_far += [None] * (request.count - len(so_far))
            self._report.preview(job, so_far, request.width, request.height)
