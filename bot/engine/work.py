"""What one engine is at work on, as its events tell."""

from __future__ import annotations

import asyncio

from inference.protocol import Began, Event, Failed, Finished, Progress


class Work:
    """The jobs that it has begun, and for how long its device has been at them. `note` every event of a job."""

    def __init__(self) -> None:
        self._begun: set[int] = set()
        self._last_begun: frozenset[int] = frozenset()
        self._finishing: set[int] = set()
        self._seconds = 0.0
        self._since: float | None = None
        """When the device went to work, while it is there."""

    @property
    def jobs(self) -> frozenset[int]:
        """What the device had last, and results that were being written. A slow job waits while a quick one runs
        between its steps."""
        return frozenset(self._begun & (self._last_begun | self._finishing))

    @property
    def seconds(self) -> float:
        """For how long its device has been at work until now, in all its starts."""
        return self._seconds + (0.0 if self._since is None else asyncio.get_running_loop().time() - self._since)

    def begin_anew(self) -> None:
        """The engine was started again, and has nothing to do yet."""
        self._begun.clear()
        self._finishing.clear()

    def note(self, event: Event) -> None:
        """Take in what an event says."""
        match event:
            case Began():
                self._last_begun = frozenset(event.jobs)
                self._begun.update(event.jobs)
            case Progress(stage="finishing"):
                self._finishing.add(event.job)
            case Finished() | Failed():
                self._begun.discard(event.job)
                self._finishing.discard(event.job)
        self.stop()
        if self._begun - self._finishing:
            self._since = asyncio.get_running_loop().time()

    def stop(self) -> None:
        """The device does nothing from now on: the engine is gone. What it was at work on is still known."""
        self._seconds, self._since = self.seconds, None
