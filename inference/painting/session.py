"""Requests of one pass key on their way to pictures: whose turn it is, what is told meanwhile, when a preview is due.

How latents become clean is the pass's (`passes`), what becomes of the pictures the task's (`tasks.imagine`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Literal

import torch
from PIL import Image

from inference.errors import NotFinite
from inference.exchange.reports import Reporter
from inference.models import adapters, placement
from inference.models.handles import Setup
from inference.networks import finite
from inference.painting import decoding
from inference.painting.passes import Pass, Slot
from inference.protocol import Imagine

log = logging.getLogger(__name__)

FIRST_PREVIEW_S = 0.3
PREVIEW_INTERVAL_S = 0.7
PREVIEW_SHARE = 0.05
"""Previews may take at most this share of the time: the next one waits until the last has been paid for."""

Sketch = Callable[[torch.Tensor], list[Image.Image]]
"""From estimated latents to small pictures (`decoding.sketch`)."""


class _Abandoned(Exception):
    """Every job of the running pass has been cancelled."""


class Session:
    """Requests that are painted together."""

    def __init__(
        self,
        requests: Sequence[Imagine],
        files: Mapping[str, bytes],
        setup: Setup,
        report: Reporter,
        sketch: Sketch | None,
    ) -> None:
        self._requests = {request.job: request for request in requests}
        self._waiting = [Slot(request, index) for request in requests for index in range(request.count)]
        self._setup = setup
        self._report = report
        self._sketch = sketch
        self._preview_due_s = time.monotonic() + FIRST_PREVIEW_S
        self._shown: dict[int, list[Image.Image | None]] = {request.job: [None] * request.count for request in requests}
        self._steps_done = dict.fromkeys(self._requests, 0)
        self._first = Pass(requests, files, setup, report.alive)
        # Larger than what the model was made for, so it has each picture to itself.
        seconds = [second for request in requests if (second := request.second) is not None]
        self._second = Pass(seconds, files, replace(setup, batch=1), report.alive) if seconds else None

    @property
    def scheduler(self) -> Any:
        """What the first pass of the pictures ran with last."""
        return self._first.scheduler

    def paint(self) -> Iterator[tuple[Slot, Image.Image]]:
        """The pictures of all jobs that nobody cancels, one after the other."""
        for job in self._requests:
            self._tell(job)
        while places := self._next_places():
            latents = self._denoise(self._first, places)
            for place, latent in zip(places, latents, strict=False):
                try:
                    picture = self._decode(place, latent)
                    if picture is not None and self._second is not None:
                        picture = self._paint_again(self._second, place, picture)
                except NotFinite as error:
                    self._report.fail(place.request.job, error.kind, str(error))
                    continue
                if picture is not None:
                    yield place, picture

    def put_back(self, job: int, picture: Image.Image) -> Image.Image:
        """What was painted, in the place of a masked part where the job has one."""
        return self._first.put_back(job, picture)

    def _next_places(self) -> list[Slot]:
        """The pictures of the next pass, at most the canonical batch; none when all are painted or cancelled."""
        wanted = self._report.still_wanted({place.request.job: None for place in self._waiting})
        waiting = [place for place in self._waiting if place.request.job in wanted]
        # Prompts of different lengths cannot share a pass, and filling the shorter up would change its picture.
        first = self._first
        places = list(takewhile(lambda at: first.length(at) == first.length(waiting[0]), waiting[: first.size]))
        self._waiting = waiting[len(places) :]
        return places

    def _paint_again(self, second: Pass, place: Slot, picture: Image.Image) -> Image.Image | None:
        """The picture at the size of the second pass; None where nobody wants it any more."""
        request = place.request.second
        assert request is not None
        if self._setup.upscaler is not None:
            picture = self._setup.upscaler.network.enlarge(picture, before_tile=self._report.alive)
        second.start_from(picture.resize((request.width, request.height), Image.Resampling.LANCZOS), request.job)
        again = Slot(request, place.index)
        latents = self._denoise(second, [again])
        return self._decode(again, latents[0]) if len(latents) else None

    def _denoise(self, taken: Pass, places: list[Slot]) -> torch.Tensor:
        """The finished latents of these places, in their order; none where all of their jobs were cancelled."""

        def after_step(step: int, estimate: torch.Tensor | None) -> None:
            self._after_step(places, step, estimate)

        if self._setup.model.policy.compile:
            # The first step at a new size takes minutes.
            self._report.loading()
        try:
            return taken.denoise(places, after_step)
        except _Abandoned:
            return torch.empty(0)
        finally:
            # diffusers does so itself, but not where it is broken off, nor for a pipeline that only shares the parts.
            placement.rest(self._setup.model.pipeline)

    def _decode(self, place: Slot, latent: torch.Tensor) -> Image.Image | None:
        """The picture of these latents; None where nobody wants it any more."""
        job = place.request.job
        if not self._report.still_wanted([job]):
            return None
        if not finite.is_finite(latent):
            raise self._spoilt(place.request)
        if self._steps_done[job] == self._requests[job].steps_together:
            self._tell(job, "finishing")
        model = self._setup.model
        (picture,) = decoding.decode(model.pipeline, model.family, latent.unsqueeze(0))
        self._shown[job][place.index] = picture
        return picture

    def _spoilt(self, request: Imagine) -> NotFinite:
        """What is said of a picture whose steps led to no number; the operator is told as well."""
        model = self._setup.model
        what = f"{request.sampler}, {request.steps} steps, guidance {request.guidance:g}"
        broken = adapters.broken(model.adapters.active)
        loras = f"; the LoRA {broken[0]} holds what is no number" if broken else ""
        log.error("job %d: steps of %s in %s led to no number: %s%s", request.job, model.name, model.dtype, what, loras)
        if broken:
            return NotFinite(f"The LoRA {broken[0]} is broken: it holds what is no number. Leave it out.")
        title = model.entry.title
        return NotFinite(f"Nothing came of it: the numbers of {title} grew beyond all bounds. {finite.ADVICE}")

    def _tell(self, job: int, stage: Literal["painting", "finishing"] = "painting") -> None:
        self._report.step(job, self._steps_done[job], self._requests[job].steps_together, stage)

    def _after_step(self, places: list[Slot], step: int, estimate: torch.Tensor | None) -> None:
        for place in places:
            self._steps_done[place.request.job] += 1
        wanted = self._report.still_wanted({place.request.job: None for place in places})
        if not wanted:
            raise _Abandoned
        self._report.give_way()
        for job in wanted:
            self._tell(job)
        if estimate is None or self._sketch is None or step == places[0].request.steps_taken:
            return
        if time.monotonic() >= self._preview_due_s:
            self._preview(places, self._sketch, estimate[: len(places)], wanted)

    def _preview(self, places: list[Slot], sketch: Sketch, estimate: torch.Tensor, wanted: list[int]) -> None:
        self._setup.device.settle()
        began_s = time.monotonic()
        try:
            sketches = sketch(estimate)
        except NotFinite:
            return  # the finished picture will say so, or be none the worse
        ended_s = time.monotonic()
        self._preview_due_s = ended_s + max(PREVIEW_INTERVAL_S, (ended_s - began_s) / PREVIEW_SHARE)
        for place, picture in zip(places, sketches, strict=True):
            self._shown[place.request.job][place.index] = picture
        for job in wanted:
            request = self._requests[job]
            self._report.preview(job, self._shown[job], request.width, request.height)
