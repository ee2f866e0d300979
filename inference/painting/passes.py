"""One run through the denoiser: what it starts from, what it keeps and follows, which networks take its steps.

Whose turn is next and what is told of it meanwhile is the session's (`session`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from inference.models import prompts
from inference.models.handles import Setup
from inference.painting import controlnet, decoding, inpainting, noise, samplers
from inference.painting.inpainting import Patch
from inference.painting.packing import Packing
from inference.pictures import images
from inference.protocol import Imagine

Kept = Callable[[int, torch.Tensor], torch.Tensor]
"""From the step that comes next, counted in the whole schedule, and the latents that it finds to latents that keep
what is not to be painted."""

AfterStep = Callable[[int, torch.Tensor | None], None]
"""Hears how many steps are done, and what the finished latents are taken to be so far."""


@dataclass(frozen=True)
class Place:
    """One picture of one request: its place in a batch."""

    request: Imagine
    index: int


@dataclass(frozen=True)
class Stretch:
    """Steps of a schedule, from `begin` up to `end`, that one pipeline takes, and what that is told."""

    begin: int
    end: int
    pipeline: Any
    told: dict[str, Any]


class Pass:
    """The denoising of requests of one pass key, at their size."""

    def __init__(
        self, requests: Sequence[Imagine], files: Mapping[str, bytes], setup: Setup, alive: Callable[[], None]
    ) -> None:
        """`alive` is called before each work of a network that is no step."""
        self.size = setup.batch
        """The canonical number of pictures of a run."""
        self.scheduler: Any = None
        self._alive = alive
        self._model, self._refiner = setup.model, setup.refiner
        self._control, self._annotator = setup.control, setup.annotator
        self._pipeline = controlnet.pipeline(setup.model, setup.control)
        self._device = setup.device
        self._enlarged = 1 if setup.upscaler is None else setup.upscaler.entry.scale
        self._patches = {request.job: self._patch(request, files) for request in requests}
        self._starts = {request.job: self._start(request, files) for request in requests}
        self._followed = {request.job: self._to_follow(request, files) for request in requests}

    def length(self, place: Place) -> int:
        """How many tokens the words of a picture take; only those with equally many can share a run."""
        return self._words(place)["prompt_embeds"].shape[1]

    def start_from(self, picture: Image.Image, job: int) -> None:
        """Let the next run of a job start from this RGB picture."""
        self._starts[job] = self._encoded(picture)

    def denoise(self, places: list[Place], after_step: AfterStep) -> torch.Tensor:
        """The finished latents of these places, in their order, followed by copies that only filled the batch.

        At most `size` of them. Whatever `after_step` raises ends the run.
        """
        first = places[0].request
        filled = places + [places[0]] * (self.size - len(places))
        family, config = self._model.entry.family, self._model.scheduler_config
        channels = self._model.pipeline.vae.config.latent_channels
        factor = self._model.pipeline.vae_scale_factor
        size = first.height // factor, first.width // factor
        packing = Packing(family, *size)
        told = samplers.timing(family, config, first.steps, *size)
        drawn, generators = zip(*(noise.draw(at.request, at.index, (1, channels, *size)) for at in filled), strict=True)
        noises = torch.cat(drawn)
        latents: torch.Tensor | None = None
        for stretch in self._stretches(filled, noises):
            self.scheduler = samplers.build(first.sampler, config, first.steps, stretch.begin, stretch.end, told=told)
            stretch.pipeline.scheduler = self.scheduler
            latents = self._under_noise(filled, noises) if latents is None else latents
            packed = stretch.pipeline(
                num_inference_steps=first.steps,
                guidance_scale=first.guidance,
                latents=packing.pack(latents).to(device=self._device.where, dtype=self._model.dtype),
                generator=list(generators),
                callback_on_step_end=self._between_steps(stretch, filled, noises, packing, after_step),
                output_type="latent",
                return_dict=False,
                **stretch.told,
            )[0]
            latents = packing.unpack(packed)
        assert latents is not None
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
        return inpainting.patch(picture, mask, request.width / request.height, request.width * self._enlarged)

    def _start(self, request: Imagine, files: Mapping[str, bytes]) -> torch.Tensor | None:
        """The latents of the picture that a request starts from, if it does."""
        if request.image is None:
            return None
        patch = self._patches[request.job]
        if patch is None:
            picture = images.fitting(images.read(files, request.image), request.width, request.height)
        else:
            picture = patch.seen(request.width, request.height)
        return self._encoded(picture)

    def _encoded(self, picture: Image.Image) -> torch.Tensor:
        self._alive()
        return decoding.encode(self._model.pipeline, self._model.entry.family, picture)

    def _to_follow(self, request: Imagine, files: Mapping[str, bytes]) -> Image.Image | None:
        """What the ControlNet sees for a request, where it has one."""
        if request.control is None or self._control is None:
            return None
        self._alive()
        picture = images.fitting(images.read(files, request.control.image), request.width, request.height)
        return controlnet.seen(picture, self._control.entry, self._annotator)

    def _words(self, place: Place, refined: bool = False) -> prompts.Encoded:
        """The tensors of a picture's words, as the model or as its refiner reads them."""
        request = place.request
        prompt, negative = request.drawn(request.seed_of(place.index))
        guided = request.guidance > 1
        if refined and self._refiner is not None:
            return self._refiner.prompts.encode(prompt, negative, guided)
        return self._model.prompts.encode(prompt, negative, guided, self._model.adapters.active)

    def _stretches(self, places: list[Place], noises: torch.Tensor) -> list[Stretch]:
        """Who takes which of the steps."""
        first = places[0].request
        told = {"height": first.height, "width": first.width, **self._following(places)}
        words = prompts.stack([self._words(place) for place in places])
        begin, split = first.steps - first.steps_taken, first.steps - first.steps_refined
        own = Stretch(begin, split, self._pipeline, {**words, **told})
        if self._refiner is None or split == first.steps:
            return [own]
        words = prompts.stack([self._words(place, refined=True) for place in places])
        # It wants a picture to begin with, and leaves it alone where it is given latents.
        told = {"image": noises, "strength": 1.0}
        return [own, Stretch(split, first.steps, self._refiner.pipeline, {**words, **told})]

    def _following(self, places: list[Place]) -> dict[str, Any]:
        """What a pipeline with a ControlNet wants to know beside the words."""
        first = places[0].request
        if first.control is None:
            return {}
        followed = [self._followed[place.request.job] for place in places]
        return {"image": followed, "controlnet_conditioning_scale": first.control.weight}

    def _under_noise(self, places: list[Place], noises: torch.Tensor) -> torch.Tensor:
        """What the run starts from: noise alone, or the requests' own starts under it."""
        starts = [start for place in places if (start := self._starts[place.request.job]) is not None]
        if not starts:
            return noises
        return samplers.noised(self.scheduler, torch.cat(starts), noises, places[0].request.steps)

    def _between_steps(
        self, stretch: Stretch, places: list[Place], noises: torch.Tensor, packing: Packing, after_step: AfterStep
    ) -> Callable[..., dict[str, torch.Tensor]]:
        """What a pipeline calls after each of its steps, counted from 0; the latents that it gives back are taken."""
        estimate = samplers.Estimate(self.scheduler)
        kept = self._kept(places, noises)
        taken_before = stretch.begin - (places[0].request.steps - places[0].request.steps_taken)

        def after(_: Any, step: int, __: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            estimated = estimate.latents()
            after_step(taken_before + step + 1, None if estimated is None else packing.unpack(estimated))
            if kept is None:
                return tensors
            return {"latents": packing.pack(kept(stretch.begin + step + 1, packing.unpack(tensors["latents"])))}

        return after

    def _kept(self, places: list[Place], noises: torch.Tensor) -> Kept | None:
        """What brings latents back to the old picture wherever nothing is to be painted; None where all is."""
        patches = [patch for place in places if (patch := self._patches[place.request.job]) is not None]
        if not patches:
            return None
        clean = torch.cat([start for place in places if (start := self._starts[place.request.job]) is not None])
        painted = torch.cat([patch.painted_cells(*clean.shape[-2:]) for patch in patches])

        def kept(step: int, latents: torch.Tensor) -> torch.Tensor:
            old = samplers.noised_before(self.scheduler, clean.to(latents), noises.to(latents), step)
            return torch.where(painted.to(latents) > 0, latents, old)

        return kept
