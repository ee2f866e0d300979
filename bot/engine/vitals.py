"""What is known of how a process does: how long it is away, was at work, is silent. What follows is for `process`."""

from __future__ import annotations

import asyncio
import time

from inference.protocol import Holding

LOADING_PATIENCE = 6
"""While it loads or compiles, an engine may be silent so many times as long as while it works."""


class Vitals:
    """Of one process, over all its starts; times in seconds."""

    def __init__(self, silence_s: float) -> None:
        """`silence_s` is how long it may be silent while it works."""
        self.starts = 0
        self.is_loading = False
        self.holding: Holding | None = None
        self.held = asyncio.Event()
        """Set whenever it says what it has in memory; to be cleared by who waits for that."""
        self._silence_s = silence_s
        self._heard_at = 0.0
        self._away_since: float | None = None
        self._worked_s = 0.0
        self._working_since: float | None = None

    def starting(self) -> None:
        """It is being started."""
        self.starts += 1
        self._away_since = self._away_since or time.monotonic()

    def came(self) -> None:
        """It is ready, and warms up."""
        self._away_since = None
        self.is_loading = True
        self.hear()

    def went(self) -> None:
        """It is ready no more."""
        self._away_since = time.monotonic()
        self.work(going_on=False)

    def hear(self) -> None:
        """It has given a sign of life, or is not to have given one before."""
        self._heard_at = time.monotonic()

    def hold(self, holding: Holding) -> None:
        """It has this in memory."""
        self.holding = holding
        self.held.set()

    def work(self, *, going_on: bool) -> None:
        """Its device is at work from now on, or is not."""
        if going_on is (self._working_since is None):
            self._worked_s = self.work_s
            self._working_since = time.monotonic() if going_on else None

    @property
    def work_s(self) -> float:
        """How long its device was at work until now."""
        return self._worked_s + (0.0 if self._working_since is None else time.monotonic() - self._working_since)

    @property
    def away_s(self) -> float:
        """How long it has not been ready since it was started; 0 where it is, or was never started."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    @property
    def silent_s(self) -> float:
        """How long ago the last sign of life was."""
        return time.monotonic() - self._heard_at

    @property
    def patience_s(self) -> float:
        """How long it may be silent now."""
        return self._silence_s * (LOADING_PATIENCE if self.is_loading else 1)
