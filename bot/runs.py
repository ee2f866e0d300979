"""A run: what goes together through a lane, how far it is, who may still join it. No SQL and no Discord here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bot.job import Job
from inference.protocol import Event, Failed, Finished, Progress


class Run:
    """Jobs that share a pass where they can: those that were taken together, and those that come before it begins."""

    def __init__(self, batch: Sequence[Job], places: int) -> None:
        """`places` is how many the pass of the first one has."""
        self.jobs: list[Job] = []
        self.departed = asyncio.Event()
        """Happens when its pass has begun: nobody can join any more."""
        self.nearly_done = asyncio.Event()
        """Happens when it needs the device no more, or hardly: the next run can be sent."""
        self.ended = asyncio.Event()
        """Happens when every job has ended."""
        self._places = places
        self._parts = 0
        self._at_device: set[int] = set()
        self.add(batch)

    @property
    def is_alone(self) -> bool:
        """Whether one of its jobs has ended the engine once: who is there beside it would be blamed with it."""
        return any(job.attempts for job in self.jobs)

    @property
    def room(self) -> int:
        """How many places are free for those who join."""
        return 0 if self.is_alone else max(self._places - sum(job.request.places for job in self.jobs), 0)

    def add(self, batch: Sequence[Job]) -> None:
        """These are sent with it; call `end_part` once for them, when all of them have ended."""
        self.jobs += batch
        self._parts += 1
        self._at_device |= {job.id for job in batch}
        self.nearly_done.clear()
        self.ended.clear()

    def note(self, event: Event) -> None:
        """Take in how far one of its jobs is."""
        match event:
            case Progress(stage="painting"):
                self.departed.set()
            case Progress(stage="finishing") | Finished() | Failed():
                self._at_device.discard(event.job)
                if not self._at_device:
                    self.departed.set()
                    self.nearly_done.set()

    def end_part(self) -> None:
        """The jobs of one `add` have ended, however that came."""
        self._parts -= 1
        if not self._parts:
            for happened in (self.departed, self.nearly_done, self.ended):
                happened.set()
