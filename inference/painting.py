"""The denoising of several requests together, step by step: what is painted, what waits, when a preview is due.

What becomes of the finished latents is the task's (`tasks.imagine`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from PIL import Image

from inference import controlling, decoding, images, noise, patching, prompts, samplers
from inference.annotating import ANNOTATORS
from inference.loaded import Setup
from inference.patching import Patch
from inference.protocol import Imagine
from inference.reports import Reporter

FIRST_PREVIEW_S = 0.3
PREVIEW_INTERVAL_S = 0.7
PREVIEW_SHARE = 0.05
"""Previews may take at most this share of the time: the next one waits until the last has been paid for."""

Sketch = Callable[[torch.Tensor], list[Image.Image]]
"""From estimated latents to small pictures (`decoding.sketch`)."""


Kept = Callable[[int, torch.Tensor], torch.Tensor]
"""From the number of steps done and the latents after them to latents that keep what is not to be painted."""


class _Abandoned(Exception):
    """Every job of the running pass has been cancelled."""


@dataclass(frozen=True)
class Place:
    """One picture of one request: its place in a batch."""

    request: Imagine
    index: int


class Session:
    """Requests of one pass key on their way: what is painted, what waits, when the next preview is due."""

    def __init__(
        self,
        requests: Sequence[Imagine],
        files: Mapping[str, bytes],
        setup: Setup,
        report: Reporter,
        sketch: Sketch | None,
    ) -> None:
        self.pictures: dict[int, list[Image.Image]] = {request.job: [] for request in requests}
        self.scheduler: Any = None
        self._requests = {request.job: request for request in requests}
        self._waiting = [Place(request, index) for request in requests for index in range(request.count)]
        self._model = setup.model
        self._control = setup.control
        self._pipeline = controlling.pipeline(setup.model, setup.control)
        self._device = setup.device
        self._report = report
        self._size = setup.batch
        self._enlarged = 1 if setup.upscaler is None else setup.upscaler.entry.scale
        self._sketch = sketch
        self._preview_due_s = time.monotonic() + FIRST_PREVIEW_S
        self._patches = {request.job: self._patch(request, files) for request in requests}
        self._starts = {request.job: self._start(request, files) for request in requests}
        self._followed = {request.job: self._to_follow(request, files) for request in requests}

    def next_places(self) -> list[Place]:
        """The pictures of the next pass, at most the canonical batch; none when all are painted or cancelled."""
        wanted = self._report.still_wanted({place.request.job: None for place in self._waiting})
        waiting = [place for place in self._waiting if place.request.job in wanted]
        # Prompts of different lengths cannot share a pass, and filling the shorter up would change its picture.
        places = list(takewhile(lambda place: self._length(place) == self._length(waiting[0]), waiting[: self._size]))
        self._waiting = waiting[len(places) :]
        return places

    def steps_of(self, job: int) -> int:
        """The steps that all pictures of a job take together."""
        request = self._requests[job]
        return request.steps_taken * request.count

    def steps_done(self, job: int) -> int:
        """The steps of its pictures that are no longer waiting."""
        waiting = sum(place.request.job == job for place in self._waiting)
        return self.steps_of(job) - waiting * self._requests[job].steps_taken

    def denoise(self, places: list[Place]) -> torch.Tensor:
        """The finished latents of these places, in their order, followed by copies that only filled the batch.

        Empty where all of their jobs were cancelled on the way.
        """
        first = places[0].request
        filled = places + [places[0]] * (self._size - len(places))
        channels = self._model.denoiser.config.in_channels
        factor = self._model.pipeline.vae_scale_factor
        shape = (1, channels, first.height // factor, first.width // factor)
        noises, generators = zip(*(noise.draw(at.request, at.index, shape) for at in filled), strict=True)
        words = prompts.stack([self._words(at) for at in filled])
        self.scheduler = samplers.build(
            first.sampler, self._model.scheduler_config, first.steps, taken=first.steps_taken
        )
        self._pipeline.scheduler = self.scheduler
        estimate = samplers.Estimate(self.scheduler)

        kept = self._kept(filled, torch.cat(noises))

        def after_step(_: Any, step: int, __: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            self._after_step(places, step + 1, estimate.latents())
            return tensors if kept is None else {"latents": kept(step + 1, tensors["latents"])}

        try:
            latents: torch.Tensor = self._pipeline(
                height=first.height,
                width=first.width,
                num_inference_steps=first.steps,
                guidance_scale=first.guidance,
                latents=self._under_noise(filled, torch.cat(noises)).to(
                    device=self._device.where, dtype=self._model.dtype
                ),
                generator=list(generators),
                callback_on_step_end=after_step,
                output_type="latent",
                return_dict=False,
                **words,
                **self._following(filled),
            )[0]
        except _Abandoned:
            return torch.empty(0)
        return latents

    def put_back(self, job: int, picture: Image.Image) -> Image.Image:
        """What was painted, in the place of a masked part where the job has one."""
        patch = self._patches[job]
        return picture if patch is None else patch.put_back(picture)

    def _patch(self, request: Imagine, files: Mapping[str, bytes]) -> Patch | None:
        """The part that a request paints anew, if it does not paint the whole."""
        if request.image is None or request.mask is None:
            return None
        picture, mask = images.read(files, request.image), images.read(files, request.mask)
        return patching.patch(picture, mask, request.width / request.height, request.width * self._enlarged)

    def _words(self, place: Place) -> prompts.Encoded:
        """The tensors of a picture's words."""
        request = place.request
        prompt, negative = request.drawn(request.seed_of(place.index))
        return self._model.prompts.encode(prompt, negative, request.guidance > 1, self._model.adapters.active)

    def _length(self, place: Place) -> int:
        return self._words(place)["prompt_embeds"].shape[1]

    def _start(self, request: Imagine, files: Mapping[str, bytes]) -> torch.Tensor | None:
        """The latents of the picture that a request starts from, if it does."""
        if request.image is None:
            return None
        patch = self._patches[request.job]
        if patch is None:
            picture = images.fitting(images.read(files, request.image), request.width, request.height)
        else:
            picture = patch.seen(request.width, request.height)
        return decoding.encode(self._model.pipeline, self._model.entry.family, picture)

    def _kept(self, places: list[Place], noises: torch.Tensor) -> Kept | None:
        """What brings latents back to the old picture wherever nothing is to be painted; None where all is."""
        patches = [patch for place in places if (patch := self._patches[place.request.job]) is not None]
        if not patches:
            return None
        taken = places[0].request.steps_taken
        clean = torch.cat([start for place in places if (start := self._starts[place.request.job]) is not None])
        painted = torch.cat([patch.painted_cells(*clean.shape[-2:]) for patch in patches])

        def kept(step: int, latents: torch.Tensor) -> torch.Tensor:
            old = samplers.noised_after(self.scheduler, clean.to(latents), noises.to(latents), step, taken)
            return torch.where(painted.to(latents) > 0, latents, old)

        return kept

    def _to_follow(self, request: Imagine, files: Mapping[str, bytes]) -> Image.Image | None:
        """What the ControlNet sees for a request, where it has one."""
        if request.control is None or self._control is None:
            return None
        picture = images.fitting(images.read(files, request.control.image), request.width, request.height)
        return ANNOTATORS[self._control.entry.annotator](picture)

    def _following(self, places: list[Place]) -> dict[str, Any]:
        """What a pipeline with a ControlNet wants to know beside the words."""
        first = places[0].request
        if first.control is None:
            return {}
        followed = [self._followed[place.request.job] for place in places]
        return {"image": followed, "controlnet_conditioning_scale": first.control.weight}

    def _under_noise(self, places: list[Place], noises: torch.Tensor) -> torch.Tensor:
        """What the pass starts from: noise alone, or the requests' own starts under it."""
        starts = [start for place in places if (start := self._starts[place.request.job]) is not None]
        if not starts:
            return noises
        return samplers.noised(self.scheduler, torch.cat(starts), noises, places[0].request.steps)

    def _after_step(self, places: list[Place], step: int, estimate: torch.Tensor | None) -> None:
        jobs = list(dict.fromkeys(place.request.job for place in places))
        wanted = self._report.still_wanted(jobs)
        if not wanted:
            raise _Abandoned
        self._report.give_way()
        for job in wanted:
            here = sum(place.request.job == job for place in places)
            ahead = self._requests[job].steps_taken - step
            self._report.step(job, self.steps_done(job) - here * ahead, self.steps_of(job))
        if estimate is None or self._sketch is None or step == places[0].request.steps_taken:
            return
        if time.monotonic() >= self._preview_due_s:
            self._preview(places, self._sketch, estimate[: len(places)], wanted)

    def _preview(self, places: list[Place], sketch: Sketch, estimate: torch.Tensor, wanted: list[int]) -> None:
        self._device.settle()
        began_s = time.monotonic()
        sketches = sketch(estimate)
        ended_s = time.monotonic()
        self._preview_due_s = ended_s + max(PREVIEW_INTERVAL_S, (ended_s - began_s) / PREVIEW_SHARE)
        for job in wanted:
            request = self._requests[job]
            running = [sketch for place, sketch in zip(places, sketches, strict=True) if place.request.job == job]
            so_far: list[Image.Image | None] = [*self.pictures[job], *running]
            so_far += [None] * (request.count - len(so_far))
            self._report.preview(job, so_far, request.width, request.height)
