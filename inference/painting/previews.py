"""What is seen of pictures while they are painted: when it is due, how it leaves the device, who looks at it first.

On a card no step waits for it. What a step left is made small and decoded there in its turn, and copied to the
machine's memory in its turn; whoever draws it, on another thread, waits for that copy, and has the checker look at
it. One is under way at a time: a step that comes too early for the next one goes without, and what has not come when
its run ends is dropped. On a CPU, which has nobody else to do it, it is made at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Lock
from typing import Any

import torch
from PIL import Image

from inference.errors import NotFinite
from inference.models.handles import Setup
from inference.painting import decoding, setups
from inference.painting.callbacks import Callbacks
from inference.painting.passes import Slot
from inference.protocol import Imagine

FIRST_PREVIEW_S = 0.3
PREVIEW_INTERVAL_S = 0.7
PREVIEW_SHARE = 0.05
"""Previews may take at most this share of the time: the next one waits until the last has been paid for."""


class Previews:
    """Those of one session. Belongs to its thread."""

    def __init__(self, setup: Setup, callbacks: Callbacks, is_flagged: Callable[[Imagine, Image.Image], bool]) -> None:
        """`is_flagged` is asked of each picture before anybody sees it, on a card by another thread."""
        self._setup = setup
        self._callbacks = callbacks
        self._is_flagged = is_flagged
        self._sketch = setups.sketch(setup)
        self._precise = False
        self._due_s = time.monotonic() + FIRST_PREVIEW_S
        self._shown: dict[int, list[Image.Image | None]] = {}
        self._requests: dict[int, Imagine] = {}
        self._under_way: _UnderWay | None = None

    def add(self, requests: Iterable[Imagine]) -> None:
        """Let these be shown too."""
        for request in requests:
            self._requests[request.job] = request
            self._shown[request.job] = [None] * request.count

    def keep(self, place: Slot, picture: Image.Image | None) -> None:
        """Show a finished picture beside those of its job that are still painted; None for one that is not shown."""
        self._shown[place.request.job][place.index] = picture

    def step(self, places: Sequence[Slot], estimate: torch.Tensor, wanted: Iterable[int]) -> None:
        """A step of these places is done: show the jobs that are wanted what it led to, if it is time.

        `estimate` are latents (places and whatever filled the batch, channels, height, width).
        """
        if self._sketch is None or time.monotonic() < self._due_s:
            return
        if self._under_way is not None and not self._under_way.is_over:
            return
        self._under_way = under_way = _UnderWay(self._looking(places, self._sketch, estimate[: len(places)]))
        if not self._setup.device.is_cuda:
            under_way.look()
        for job in wanted:
            self._tell(job, under_way)

    def drop(self) -> None:
        """What has not come yet is shown no more, and nobody looks at it from now on; call it when a run has ended."""
        if self._under_way is not None:
            self._under_way.drop()

    def _looking(self, places: Sequence[Slot], sketch: setups.Sketch, estimate: torch.Tensor) -> Callable[[], None]:
        """Begin with a preview of these latents; what looks at it when it has come, and waits for that."""
        began_s = time.monotonic()
        leaving = _Leaving(lambda: sketch(estimate, precise=self._precise), self._setup.device.is_cuda)

        def look() -> None:
            try:
                sketches = decoding.pictures(self._setup.model.pipeline, leaving.arrived())
            except NotFinite:
                # The finished picture will say so, or be none the worse; the next one is made of larger numbers.
                self._precise = True
                return
            # A preview is seen by everybody, so of what is flagged there is none.
            for place, picture in zip(places, sketches, strict=True):
                flagged = self._is_flagged(place.request, picture)
                self._shown[place.request.job][place.index] = None if flagged else picture
            ended_s = time.monotonic()
            took_s = ended_s - began_s if leaving.took_s is None else leaving.took_s
            self._due_s = ended_s + max(PREVIEW_INTERVAL_S, took_s / PREVIEW_SHARE)

        return look

    def _tell(self, job: int, under_way: _UnderWay) -> None:
        def pictures() -> Sequence[Image.Image | None]:
            shown = [*self._shown[job]] if under_way.look() else []
            return shown if any(picture is not None for picture in shown) else ()

        request = self._requests[job]
        self._callbacks.preview(job, pictures, request.width, request.height)


class _UnderWay:
    """A preview between the step that began it and whoever draws it. Safe from any thread."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look: Callable[[], None] | None = look
        self._has_come = False
        self._lock = Lock()

    @property
    def is_over(self) -> bool:
        """Whether it has been looked at, or will not be any more."""
        return self._look is None

    def look(self) -> bool:
        """Look at it, the first time by waiting for it; whether it had come before it was dropped."""
        with self._lock:
            if (look := self._look) is not None:
                try:
                    look()
                    self._has_come = True
                finally:
                    self._look = None
            return self._has_come

    def drop(self) -> None:
        """Have nobody look at it from now on; who just does is waited for."""
        with self._lock:
            self._look = None


class _Leaving:
    """A tensor on its way from a device to the machine's memory."""

    def __init__(self, make: Callable[[], torch.Tensor], copies: bool) -> None:
        """Have it made, and copied where it is not in that memory anyway; on a card nothing of it is waited for."""
        self.took_s: float | None = None
        """How long a card was at it, once it has arrived from one."""
        # Who waits for one of these sleeps.
        event: Callable[[], Any] = partial(torch.cuda.Event, enable_timing=True, blocking=True)
        self._events = (event(), event()) if copies and torch.cuda.is_available() else None
        if self._events is not None:
            self._events[0].record()
        self._tensor = make()
        if copies:
            here = torch.empty_like(self._tensor, device="cpu", pin_memory=self._tensor.is_cuda)
            self._tensor = here.copy_(self._tensor, non_blocking=True)
        if self._events is not None:
            self._events[1].record()

    def arrived(self) -> torch.Tensor:
        """The tensor, which is waited for."""
        if self._events is not None:
            began, ended = self._events
            ended.synchronize()
            self.took_s = began.elapsed_time(ended) / 1000
        return self._tensor
