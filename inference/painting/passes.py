"""One run through the denoiser: what it starts from, what it keeps and follows, which networks take its steps.

Whose turn is next and what is told of it meanwhile is the session's (`session`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from inference.families.samplers import Sampler
from inference.models import neighbours, policy
from inference.models.handles import Setup
from inference.models.prompts import Beside
from inference.painting import controlnet, decoding, inpainting, noise, references, samplers, skipping, wording
from inference.painting.conditioning import Conditioning
from inference.painting.inpainting import InpaintArea
from inference.painting.skipping import Draft
from inference.painting.wording import Reading, Wording
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
    wording: Wording
    second: bool = False
    """Whether it is the second pass that paints it."""


@dataclass(frozen=True)
class Segment:
    """Steps of a schedule, from `begin` up to `end`, that one pipeline takes, and what that is called with."""

    begin: int
    end: int
    pipeline: Any
    arguments: dict[str, Any]
    words: Conditioning


class Pass:
    """The denoising of requests of one pass key, at their size."""

    def __init__(self, request: Imagine, setup: Setup, alive: Callable[[], None]) -> None:
        """For requests of this one's pass key, which are added afterwards; `alive` is called before each work of a
        network that is no step."""
        self.size = setup.batch
        """The canonical number of pictures of a run."""
        self.left_out: list[int] = []
        """The steps of the last run, counted in the whole schedule, that were foretold and not computed."""
        if not setup.filled and request.guidance <= 1:
            # With one side alone CPUs take other ways for one picture than for several.
            self.size = 1
        self._filled = setup.filled
        self.scheduler: Any = None
        self._alive = alive
        self._reached: torch.Tensor | None = None
        """What the last step of the run left, as the pipeline has it."""
        self._model, self._refiner = setup.model, setup.refiner
        self._followed = setup.followed
        self._pipeline = references.pipeline(setup.model, controlnet.pipeline(setup.model, setup.followed), request)
        self._device = setup.device
        self._enlarged = 1 if setup.upscaler is None else setup.upscaler.scale
        self._areas: dict[int, InpaintArea | None] = {}
        self._starts: dict[int, torch.Tensor | None] = {}
        self._seen: dict[int, list[Image.Image]] = {}
        self._shown: dict[int, Beside | None] = {}

    def add(self, requests: Sequence[Imagine], files: Mapping[str, bytes]) -> None:
        """Let these be painted, each called by another number than all before."""
        self._areas |= {request.job: self._area(request, files) for request in requests}
        self._starts |= {request.job: self._start(request, files) for request in requests}
        self._seen |= {request.job: self._to_follow(request, files) for request in requests}
        self._shown |= {request.job: self._to_show(request, files) for request in requests}

    @property
    def rescales(self) -> bool:
        """Whether its pipeline can rescale guidance: not every one that follows or edits can."""
        return "guidance_rescale" in inspect.signature(self._pipeline.__call__).parameters

    def form(self, slot: Slot) -> Hashable:
        """When the words of a picture change, and how many tokens they take; only those of one form can share a run.

        Call this and all below while the LoRAs of the picture work.
        """
        return tuple(stretch.form for stretch in self.reading(slot).stretches)

    def reading(self, slot: Slot, refined: bool = False) -> Reading:
        """The words of a picture, as the model or as its refiner reads them. Raises as `wording.read` does."""
        request, shown = slot.request, self._shown[slot.request.job]
        if refined and self._refiner is not None:
            return wording.read(slot.wording, request, self._model, self._refiner, slot.second, None)
        return wording.read(slot.wording, request, self._model, None, slot.second, shown)

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
        factor = self._model.latent_factor
        size = first.height // factor, first.width // factor
        sampler, spacing = family.samplers[first.sampler], family.spacing(config, first.steps, *size)
        shape = 1, self._model.latent_channels, *size
        drawn, generators = zip(*(noise.draw(slot.request, slot.index, shape) for slot in filled), strict=True)
        noises = torch.cat(drawn)
        latents: torch.Tensor | None = None
        dtype = torch.float32 if family.latents.exact else self._model.dtype
        self.left_out = []
        for segment in self._segments(filled, noises):
            self.scheduler = samplers.build(sampler, config, first.steps, segment.begin, segment.end, spacing)
            segment.pipeline.scheduler = self.scheduler
            latents = self._under_noise(filled, noises) if latents is None else latents
            begun = (family.latents.given or family.latents.pack)(latents)
            told = segment.words.begin(segment.begin - (first.steps - first.steps_taken))
            denoiser = getattr(segment.pipeline, family.denoiser.component)
            with (
                neighbours.sharing(len(filled)),
                skipping.drafting(denoiser, self._to_skip(segment, sampler)) as draft,
                segment.words.composed(denoiser),
            ):
                segment.pipeline(
                    num_inference_steps=first.steps,
                    latents=begun.to(device=self._device.where, dtype=dtype),
                    generator=list(generators),
                    callback_on_step_end=self._between_steps(segment, filled, noises, draft, after_step),
                    output_type="latent",
                    return_dict=False,
                    **{family.guidance: first.guidance + family.guidance_offset, **told, **segment.arguments},
                )
            self.left_out += [segment.begin + step for step in draft.left_out]
            # What its last step left: what pipelines return is not always in the same form.
            assert self._reached is not None, "every segment has a step"
            latents, self._reached = self._unpacked(self._reached, noises), None
        assert latents is not None
        return latents

    def put_back(self, job: int, picture: Image.Image) -> Image.Image:
        """What was painted, in the place of a masked part where the job has one."""
        area = self._areas[job]
        return picture if area is None else area.put_back(picture)

    def mask(self, job: int) -> Image.Image | None:
        """What of the picture is painted, L and white, where the job paints a part of one."""
        area = self._areas[job]
        return None if area is None else area.mask

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

    def _to_follow(self, request: Imagine, files: Mapping[str, bytes]) -> list[Image.Image]:
        """What each ControlNet sees for a request."""
        found = []
        for one in self._followed:
            self._alive()
            given = images.read(files, request.controls[one.place].image)
            picture = images.fitting(given, request.width, request.height)
            found.append(controlnet.seen(picture, one.control.entry, one.annotator))
        return found

    def _to_show(self, request: Imagine, files: Mapping[str, bytes]) -> Beside | None:
        """The pictures that the model sees beside the words of a request, where there are any."""
        if not request.references:
            return None
        self._alive()
        return references.shown(request, files, self._areas[request.job], self._model)

    def _segments(self, slots: list[Slot], noises: torch.Tensor) -> list[Segment]:
        """Who takes which of the steps."""
        first = slots[0].request
        family, rescale = self._model.family, self._model.assembly.guidance_rescale
        arguments = {**family.sized(first.width, first.height), **family.arguments}
        arguments |= {**self._following(slots), **self._filling(slots)}
        if (shown := self._shown[first.job]) is not None and family.references is not None:
            # Who shares a run is shown the same.
            arguments |= family.references.told(shown.pictures)
        if rescale and self.rescales:
            arguments["guidance_rescale"] = rescale
        words = self._conditioning(slots)
        begin, split = first.steps - first.steps_taken, first.steps - first.steps_refined
        own = Segment(begin, split, self._pipeline, arguments, words)
        if self._refiner is None or split == first.steps:
            return [own]
        words = self._conditioning(slots, refined=True)
        # It wants a picture to begin with, and leaves it alone where it is given latents.
        arguments = {"image": noises, "strength": 1.0}
        return [own, Segment(split, first.steps, self._refiner.pipeline, arguments, words)]

    def _to_skip(self, segment: Segment, sampler: Sampler) -> Sequence[int]:
        """Which of a segment's steps a draft leaves out."""
        if self._model.policy.speed == "full" or sampler.draws:
            return ()
        return policy.skipped(segment.end - segment.begin)

    def _conditioning(self, slots: list[Slot], refined: bool = False) -> Conditioning:
        return Conditioning([self.reading(slot, refined).stretches for slot in slots], self._model.family.words)

    def _following(self, slots: list[Slot]) -> dict[str, Any]:
        """What a pipeline with ControlNets wants to know beside the words."""
        if not self._followed:
            return {}
        pictures = [*zip(*(self._seen[slot.request.job] for slot in slots), strict=True)]
        return controlnet.told(self._model, self._followed, pictures)

    def _filling(self, slots: list[Slot]) -> dict[str, Any]:
        """What a pipeline wants to know that sees which part of a picture it paints."""
        areas = [area for slot in slots if (area := self._areas[slot.request.job]) is not None]
        if not self._model.assembly.edits_only or not areas:
            return {}
        return inpainting.told(areas, self._model, slots[0].request.width, slots[0].request.height)

    def _under_noise(self, slots: list[Slot], noises: torch.Tensor) -> torch.Tensor:
        """What the run starts from: noise alone, or the requests' own starts under it."""
        starts = [start for slot in slots if (start := self._starts[slot.request.job]) is not None]
        if not starts:
            return noises
        return samplers.noised(self.scheduler, torch.cat(starts), noises, slots[0].request.steps)

    def _between_steps(
        self, segment: Segment, slots: list[Slot], noises: torch.Tensor, draft: Draft, after_step: AfterStep
    ) -> Callable[..., dict[str, torch.Tensor]]:
        """What a pipeline calls after each of its steps, counted from 0; the latents that it gives back are taken."""
        estimate = samplers.Estimate(self.scheduler)
        keep_unmasked = self._keep_unmasked(slots, noises)
        taken_before = segment.begin - (slots[0].request.steps - slots[0].request.steps_taken)

        def after(_: Any, step: int, __: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            estimated = estimate.latents()
            taken = taken_before + step + 1
            # Whatever else runs there is by itself.
            with neighbours.sharing(1):
                after_step(taken, None if estimated is None else self._unpacked(estimated, noises))
            changed = segment.words.change(taken)
            draft.step_done(words_changed=bool(changed))
            if keep_unmasked is not None:
                latents = keep_unmasked(segment.begin + step + 1, self._unpacked(tensors["latents"], noises))
                tensors = {"latents": self._model.family.latents.pack(latents)}
            self._reached = tensors["latents"]
            return {**tensors, **changed}

        return after

    def _unpacked(self, packed: torch.Tensor, noises: torch.Tensor) -> torch.Tensor:
        """What a pipeline has as its latents, in the shape of these."""
        return self._model.family.latents.unpack(packed, *noises.shape[-2:])

    def _keep_unmasked(self, slots: list[Slot], noises: torch.Tensor) -> KeepUnmasked | None:
        """What brings latents back to the old picture wherever nothing is to be painted; None where all is, or where
        the pipeline sees to that."""
        areas = [area for slot in slots if (area := self._areas[slot.request.job]) is not None]
        # One that fills sees what is kept by itself, without noise.
        if not areas or self._model.assembly.edits_only:
            return None
        clean = torch.cat([start for slot in slots if (start := self._starts[slot.request.job]) is not None])
        painted = torch.cat([area.painted_cells(*clean.shape[-2:]) for area in areas])

        def keep_unmasked(step: int, latents: torch.Tensor) -> torch.Tensor:
            nonlocal clean, noises, painted
            # Brought to the device once.
            clean, noises, painted = (each.to(latents) for each in (clean, noises, painted))
            old = samplers.noised_before(self.scheduler, clean, noises, step)
            return torch.where(painted > 0, latents, old)

        return keep_unmasked
