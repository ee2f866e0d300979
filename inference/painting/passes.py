"""One run through the denoiser: what it starts from, what it keeps and follows, which networks take its steps.

Whose turn is next and what is told of it meanwhile is the session's (`session`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from inference.models import neighbours, prompts
from inference.models.handles import Setup
from inference.painting import controlnet, decoding, inpainting, noise, samplers
from inference.painting.inpainting import InpaintArea
from inference.pictures import images
from inference.protocol import Imagine

KeepUnmasked = Callable[[int, torch.Tensor], torch.Tensor]
"""From the step that comes next, counted in the whole schedule, and the latents that it finds to latents that keep
what is not to be painted."""

AfterStep = Callable[[int, torch.Tensor | None], None]
"""Hears how many steps are done, and what the finished latents are taken to be so far."""


@dataclass(frozen=True)
class Slot:
    """One picture of one request, which takes a slot of a batch."""

    request: Imagine
    index: int


@dataclass(frozen=True)
class Segment:
    """Steps of a schedule, from `begin` up to `end`, that one pipeline takes, and what that is called with."""

    begin: int
    end: int
    pipeline: Any
    arguments: dict[str, Any]


class Pass:
    """The denoising of requests of one pass key, at their size."""

    def __init__(
        self, requests: Sequence[Imagine], files: Mapping[str, bytes], setup: Setup, alive: Callable[[], None]
    ) -> None:
        """`alive` is called before each work of a network that is no step."""
        self.size = setup.batch
        """The canonical number of pictures of a run."""
        if not setup.filled and requests and requests[0].guidance <= 1:
            # With one side alone CPUs take other ways for one picture than for several.
            self.size = 1
        self._filled = setup.filled
        self.scheduler: Any = None
        self._alive = alive
        self._model, self._refiner = setup.model, setup.refiner
        self._control, self._annotator = setup.control, setup.annotator
        self._pipeline = controlnet.pipeline(setup.model, setup.control)
        self._device = setup.device
        self._enlarged = 1 if setup.upscaler is None else setup.upscaler.entry.scale
        self._areas = {request.job: self._area(request, files) for request in requests}
        self._starts = {request.job: self._start(request, files) for request in requests}
        self._followed = {request.job: self._to_follow(request, files) for request in requests}

    def length(self, slot: Slot) -> Hashable:
        """How many tokens the words of a picture take, on each side; only those with equally many can share a run."""
        return tuple((name, tensor.shape[1]) for name, tensor in self._words(slot).items())

    def start_from(self, picture: Image.Image, job: int) -> None:
        """Let the next run of a job start from this RGB picture."""
        self._starts[job] = self._encoded(picture)

    def denoise(self, slots: list[Slot], after_step: AfterStep) -> torch.Tensor:
        """The finished latents of these slots, in their order, followed by copies that only filled the batch, if any.

        At most `size` of them. Whatever `after_step` raises ends the run.
        """
        first = slots[0].request
        filled = slots + [slots[0]] * (self.size - len(slots)) if self._filled else slots
        family, config = self._model.family, self._model.scheduler_config
        factor = self._model.pipeline.vae_scale_factor
        size = first.height // factor, first.width // factor
        sampler, spacing = family.samplers[first.sampler], family.spacing(config, first.steps, *size)
        shape = 1, self._model.latent_channels, *size
        drawn, generators = zip(*(noise.draw(slot.request, slot.index, shape) for slot in filled), strict=True)
        noises = torch.cat(drawn)
        latents: torch.Tensor | None = None
        for segment in self._segments(filled, noises):
            self.scheduler = samplers.build(sampler, config, first.steps, segment.begin, segment.end, spacing)
            segment.pipeline.scheduler = self.scheduler
            latents = self._under_noise(filled, noises) if latents is None else latents
            with neighbours.sharing(len(filled)):
                packed = segment.pipeline(
                    num_inference_steps=first.steps,
                    latents=family.latents.pack(latents).to(device=self._device.where, dtype=self._model.dtype),
                    generator=list(generators),
                    callback_on_step_end=self._between_steps(segment, filled, noises, after_step),
                    output_type="latent",
                    return_dict=False,
                    **{family.guidance: first.guidance, **segment.arguments},
                )[0]
            latents = self._unpacked(packed, noises)
        assert latents is not None
        return latents

    def put_back(self, job: int, picture: Image.Image) -> Image.Image:
        """What was painted, in the place of a masked part where the job has one."""
        area = self._areas[job]
        return picture if area is None else area.put_back(picture)

    def _area(self, request: Imagine, files: Mapping[str, bytes]) -> InpaintArea | None:
        """The part that a request paints anew, if it does not paint the whole."""
        if request.image is None or request.mask is None:
            return None
        picture, mask = images.read(files, request.image), images.read(files, request.mask)
        return inpainting.area(picture, mask, request.width / request.height, request.width * self._enlarged)

    def _start(self, request: Imagine, files: Mapping[str, bytes]) -> torch.Tensor | None:
        """The latents of the picture that a request starts from, if it does."""
        if request.image is None:
            return None
        area = self._areas[request.job]
        if area is None:
            picture = images.fitting(images.read(files, request.image), request.width, request.height)
        else:
            picture = area.seen(request.width, request.height)
        return self._encoded(picture)

    def _encoded(self, picture: Image.Image) -> torch.Tensor:
        self._alive()
        return decoding.encode(self._model.pipeline, self._model.family, picture)

    def _to_follow(self, request: Imagine, files: Mapping[str, bytes]) -> Image.Image | None:
        """What the ControlNet sees for a request, where it has one."""
        if request.control is None or self._control is None:
            return None
        self._alive()
        picture = images.fitting(images.read(files, request.control.image), request.width, request.height)
        return controlnet.seen(picture, self._control.entry, self._annotator)

    def _words(self, slot: Slot, refined: bool = False) -> prompts.Encoded:
        """The tensors of a picture's words, as the model or as its refiner reads them."""
        request = slot.request
        prompt, negative = request.drawn(request.seed_of(slot.index))
        guided = request.guidance > 1
        if refined and self._refiner is not None:
            return self._refiner.prompts.encode(prompt, negative, guided)
        return self._model.prompts.encode(prompt, negative, guided, self._model.adapters.active)

    def _segments(self, slots: list[Slot], noises: torch.Tensor) -> list[Segment]:
        """Who takes which of the steps."""
        first = slots[0].request
        arguments = {"height": first.height, "width": first.width, **self._model.family.arguments}
        arguments |= self._following(slots)
        words = prompts.stack([self._words(slot) for slot in slots])
        begin, split = first.steps - first.steps_taken, first.steps - first.steps_refined
        own = Segment(begin, split, self._pipeline, {**words, **arguments})
        if self._refiner is None or split == first.steps:
            return [own]
        words = prompts.stack([self._words(slot, refined=True) for slot in slots])
        # It wants a picture to begin with, and leaves it alone where it is given latents.
        arguments = {"image": noises, "strength": 1.0}
        return [own, Segment(split, first.steps, self._refiner.pipeline, {**words, **arguments})]

    def _following(self, slots: list[Slot]) -> dict[str, Any]:
        """What a pipeline with a ControlNet wants to know beside the words."""
        first = slots[0].request
        if first.control is None:
            return {}
        followed = [self._followed[slot.request.job] for slot in slots]
        return {"image": followed, "controlnet_conditioning_scale": first.control.weight}

    def _under_noise(self, slots: list[Slot], noises: torch.Tensor) -> torch.Tensor:
        """What the run starts from: noise alone, or the requests' own starts under it."""
        starts = [start for slot in slots if (start := self._starts[slot.request.job]) is not None]
        if not starts:
            return noises
        return samplers.noised(self.scheduler, torch.cat(starts), noises, slots[0].request.steps)

    def _between_steps(
        self, segment: Segment, slots: list[Slot], noises: torch.Tensor, after_step: AfterStep
    ) -> Callable[..., dict[str, torch.Tensor]]:
        """What a pipeline calls after each of its steps, counted from 0; the latents that it gives back are taken."""
        estimate = samplers.Estimate(self.scheduler)
        keep_unmasked = self._keep_unmasked(slots, noises)
        taken_before = segment.begin - (slots[0].request.steps - slots[0].request.steps_taken)

        def after(_: Any, step: int, __: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            estimated = estimate.latents()
            after_step(taken_before + step + 1, None if estimated is None else self._unpacked(estimated, noises))
            if keep_unmasked is None:
                return tensors
            latents = keep_unmasked(segment.begin + step + 1, self._unpacked(tensors["latents"], noises))
            return {"latents": self._model.family.latents.pack(latents)}

        return after

    def _unpacked(self, packed: torch.Tensor, noises: torch.Tensor) -> torch.Tensor:
        """What a pipeline has as its latents, in the shape of these."""
        return self._model.family.latents.unpack(packed, *noises.shape[-2:])

    def _keep_unmasked(self, slots: list[Slot], noises: torch.Tensor) -> KeepUnmasked | None:
        """What brings latents back to the old picture wherever nothing is to be painted; None where all is."""
        areas = [area for slot in slots if (area := self._areas[slot.request.job]) is not None]
        if not areas:
            return None
        clean = torch.cat([start for slot in slots if (start := self._starts[slot.request.job]) is not None])
        painted = torch.cat([area.painted_cells(*clean.shape[-2:]) for area in areas])

        def keep_unmasked(step: int, latents: torch.Tensor) -> torch.Tensor:
            old = samplers.noised_before(self.scheduler, clean.to(latents), noises.to(latents), step)
            return torch.where(painted.to(latents) > 0, latents, old)

        return keep_unmasked
