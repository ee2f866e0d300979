"""Requests of one pass key on their way to pictures: whose turn it is, and what is told meanwhile.

How latents become clean is the pass's (`passes`), what is seen of them meanwhile the `previews`'; what becomes of the
pictures, and who hears of them, is the task's.

The bytes of a picture depend on its own request alone: its noise comes from its own seed, its words are encoded
alone, every pass of the denoiser has the model's one canonical batch size (a smaller one is filled up with copies,
a larger one is split) or computes each picture as if it were alone (`models.neighbours`), and it is decoded, checked
and enlarged alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch
from PIL import Image

from inference import recipes
from inference.errors import InvalidInput, NotFinite, TaskError, UnavailableModel, Unsafe
from inference.models import adapters, placement
from inference.models.handles import Setup
from inference.models.store import Store
from inference.networks import finite
from inference.painting import decoding, notes, setups, wording
from inference.painting.callbacks import Callbacks, Stage
from inference.painting.passes import Pass, Slot
from inference.painting.previews import Previews
from inference.protocol import Drawn, Imagine, Lora, Reason

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Painting:
    """A finished picture."""

    request: Imagine
    index: int
    """Which of its request's pictures it is."""
    image: Image.Image
    mask: Image.Image | None
    """L, of its size: white where it was painted; None where all of it was."""
    recipe: dict[str, Any]
    """Everything that made it but how it is marked."""
    notes: tuple[Reason, ...]
    """What was done otherwise than asked."""
    drawn: Drawn | None
    """What it was painted from, where that was left to chance."""
    flagged: bool
    """Whether the checker flagged it, and its request lets it be shown all the same."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A picture of which nothing came."""

    request: Imagine
    error: TaskError


class _Abandoned(Exception):
    """Every job of the running pass has been cancelled."""


def paint(
    requests: Sequence[Imagine], files: Mapping[str, bytes], store: Store, callbacks: Callbacks
) -> Iterator[Painting | Failure]:
    """Paint requests of one `pass_key` that have been checked, each called by another job number.

    `files` holds the bytes of their inputs. The pictures of a request come in their order, one after the other, for as
    long as it is wanted. Raises as `store` does, and what the memory raises where it is full.
    """

    def loading() -> None:
        for request in requests:
            callbacks.step(request.job, 0, request.steps_together, "loading")

    def draw(request: Imagine) -> list[Slot] | Failure:
        try:
            return [Slot(request, index, wording.draw(request, index, store.catalog)) for index in range(request.count)]
        except InvalidInput as error:
            return Failure(request=request, error=error)

    def adapt(loras: Sequence[Lora]) -> None:
        store.adapt(setup.model, loras, callbacks.loading, requests[0].own_loras)

    drawn = [draw(request) for request in requests]
    yield from (each for each in drawn if isinstance(each, Failure))
    possible = [slots for slots in drawn if not isinstance(slots, Failure)]
    if not possible:
        return
    setup = setups.load(possible[0][0].request, store, loading, callbacks.loading)
    session = Session(possible, files, setup, adapt, callbacks)
    yield from session.paint(draw)


class Session:
    """Requests that are painted together."""

    def __init__(
        self,
        drawn: Sequence[Sequence[Slot]],
        files: Mapping[str, bytes],
        setup: Setup,
        adapt: Callable[[Sequence[Lora]], None],
        callbacks: Callbacks,
    ) -> None:
        """`drawn` are the pictures of each request, `adapt` lets LoRAs work in the model and no others."""
        self._setup = setup
        self._adapt = adapt
        self._callbacks = callbacks
        self._previews = Previews(setup, callbacks, self._is_flagged)
        self._requests: dict[int, Imagine] = {}
        self._waiting: list[Slot] = []
        self._steps_done: dict[int, int] = {}
        self._untold: list[int] = []
        """Those of whom nobody knows yet that they are being painted."""
        first = drawn[0][0].request
        self._first = Pass(first, setup, callbacks.alive)
        # Larger than what the model was made for, so it has each picture to itself.
        second = first.second
        self._second = None if second is None else Pass(second, replace(setup, batch=1), callbacks.alive)
        self._passes = (self._first,) if self._second is None else (self._first, self._second)
        self._add(drawn, files)

    def _add(self, drawn: Sequence[Sequence[Slot]], files: Mapping[str, bytes]) -> None:
        """Let the pictures of further requests be painted too."""
        requests = [slots[0].request for slots in drawn]
        self._first.add(requests, files)
        if self._second is not None:
            self._second.add([second for request in requests if (second := request.second) is not None], files)
        self._requests |= {request.job: request for request in requests}
        self._waiting += [slot for slots in drawn for slot in slots]
        self._previews.add(requests)
        self._steps_done |= {request.job: 0 for request in requests}
        self._untold += [request.job for request in requests]

    def paint(self, draw: Callable[[Imagine], list[Slot] | Failure]) -> Iterator[Painting | Failure]:
        """The pictures of all jobs that are wanted to the end, one after the other; `draw` makes them of requests that
        come meanwhile."""
        while waiting := self._still_waiting():
            first = waiting[0]
            try:
                self._adapt(first.wording.drawn.loras)
                places = self._beside(first, waiting)
            except UnavailableModel as error:
                # It lies in what was drawn, or in an embedding: others of the pass do without.
                self._waiting = [place for place in waiting if place.request.job != first.request.job]
                yield Failure(request=first.request, error=error)
                continue
            if (free := self._first.size - len(waiting)) > 0 and (boarded := self._callbacks.board(free))[0]:
                # Whoever came while models were loaded and words were read.
                drawn = [draw(request) for request in boarded[0]]
                yield from (each for each in drawn if isinstance(each, Failure))
                self._waiting = waiting
                self._add([slots for slots in drawn if not isinstance(slots, Failure)], boarded[1])
                continue
            while self._untold:
                self._tell(self._untold.pop(0))
            self._waiting = waiting[len(places) :]
            latents = self._denoise(self._first, places)
            for place, latent in zip(places, latents, strict=False):
                if (made := self._finish(place, latent)) is not None:
                    yield made

    def _finish(self, place: Slot, latent: torch.Tensor) -> Painting | Failure | None:
        """What becomes of these latents; None where nobody wants it any more."""
        request, setup = place.request, self._setup
        try:
            picture = self._decode(place, latent)
            if picture is not None and self._second is not None:
                picture = self._paint_again(self._second, place, picture)
            if picture is None or not self._callbacks.still_wanted([request.job]):
                return None
            # Before it is enlarged: the checker looks at a small copy anyway, and what is flagged needs no more.
            if (flagged := self._is_flagged(request, picture)) and request.safety == "block":
                raise Unsafe("flagged")
            # What others of its job show beside themselves while they are painted.
            self._previews.keep(place, None if flagged else picture)
            if setup.upscaler is not None:
                picture = setup.upscaler.network.enlarge(picture, before_tile=self._callbacks.alive)
        except (Unsafe, NotFinite) as error:
            return Failure(request=request, error=error)
        reading = self._first.reading(place)
        return Painting(
            request=request,
            index=place.index,
            image=self._first.put_back(request.job, picture),
            mask=self._first.mask(request.job),
            recipe=recipes.recipe(request, setup, self._first.scheduler, place.wording.drawn, reading.embeddings),
            notes=(*place.wording.notes, *reading.notes, *notes.of_passes(request, setup.model, self._passes)),
            drawn=place.wording.drawn if place.wording.by_chance else None,
            flagged=flagged,
        )

    def _is_flagged(self, request: Imagine, picture: Image.Image) -> bool:
        """Whether the checker is to look at pictures of this request and flags this one."""
        checker = self._setup.checker
        return checker is not None and request.safety != "allow" and checker.network.flags(picture)

    def _still_waiting(self) -> list[Slot]:
        """The pictures that are not painted yet and that somebody wants."""
        wanted = self._callbacks.still_wanted({place.request.job: None for place in self._waiting})
        return [place for place in self._waiting if place.request.job in wanted]

    def _beside(self, first: Slot, waiting: Sequence[Slot]) -> list[Slot]:
        """The first one and those after it that share its pass, at most the canonical batch."""
        form = self._first.form(first)

        def shares(place: Slot) -> bool:
            if place.wording.drawn.loras != first.wording.drawn.loras:
                return False
            with suppress(UnavailableModel):  # it is told when its turn comes
                # Prompts of different lengths cannot share a pass, and filling the shorter up would change its picture.
                return self._first.form(place) == form
            return False

        return [*takewhile(shares, waiting[: self._first.size])]

    def _paint_again(self, second: Pass, place: Slot, picture: Image.Image) -> Image.Image | None:
        """The picture at the size of the second pass; None where nobody wants it any more."""
        request = place.request.second
        assert request is not None
        if self._setup.upscaler is not None:
            picture = self._setup.upscaler.network.enlarge(picture, before_tile=self._callbacks.alive)
        second.start_from(picture.resize((request.width, request.height), Image.Resampling.LANCZOS), request.job)
        again = replace(place, request=request, second=True)
        latents = self._denoise(second, [again])
        return self._decode(again, latents[0]) if len(latents) else None

    def _denoise(self, taken: Pass, places: list[Slot]) -> torch.Tensor:
        """The finished latents of these places, in their order; none where all of their jobs were cancelled."""

        def after_step(step: int, estimate: torch.Tensor | None) -> None:
            self._after_step(places, step, estimate)

        if self._setup.model.policy.compile:
            # The first step at a new size takes minutes.
            self._callbacks.loading()
        try:
            return taken.denoise(places, after_step)
        except _Abandoned:
            return torch.empty(0)
        finally:
            self._previews.drop()
            # diffusers does so itself, but not where it is broken off, nor for a pipeline that only shares the parts.
            placement.rest(self._setup.model.pipeline)

    def _decode(self, place: Slot, latent: torch.Tensor) -> Image.Image | None:
        """The picture of these latents; None where nobody wants it any more."""
        job = place.request.job
        if not self._callbacks.still_wanted([job]):
            return None
        if not finite.is_finite(latent):
            raise self._spoilt(place.request)
        if self._steps_done[job] == self._requests[job].steps_together:
            self._tell(job, "finishing")
        model = self._setup.model
        (picture,) = decoding.decode(model.pipeline, model.family, latent.unsqueeze(0))
        return picture

    def _spoilt(self, request: Imagine) -> NotFinite:
        """What is said of a picture whose steps led to no number; the operator is told as well."""
        model = self._setup.model
        what = f"{request.sampler}, {request.steps} steps, guidance {request.guidance:g}"
        broken = adapters.broken(model.adapters.active)
        loras = f"; the LoRA {broken[0]} holds what is no number" if broken else ""
        log.error("job %d: steps of %s in %s led to no number: %s%s", request.job, model.name, model.dtype, what, loras)
        if broken:
            return NotFinite("lora_broken", lora=broken[0])
        return NotFinite("no_numbers")

    def _tell(self, job: int, stage: Stage = "painting") -> None:
        self._callbacks.step(job, self._steps_done[job], self._requests[job].steps_together, stage)

    def _after_step(self, places: list[Slot], step: int, estimate: torch.Tensor | None) -> None:
        for place in places:
            self._steps_done[place.request.job] += 1
        wanted = self._callbacks.still_wanted({place.request.job: None for place in places})
        if not wanted:
            raise _Abandoned
        self._callbacks.give_way()
        for job in wanted:
            self._tell(job)
        if estimate is not None and step < places[0].request.steps_taken:
            self._previews.step(places, estimate, wanted)
