"""What time it is. Everything that expires asks a clock, so that a test can make fifteen minutes pass at once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The real time, and as far ahead of it as `advance` has moved it."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time() + self._ahead_s

    async def sleep(self, delay_s: float) -> None:
        """Return once `delay_s` seconds have passed on this clock."""
        due = self.now() + delay_s
        while (remaining_s := due - self.now()) > 0:
            await self._pass(remaining_s)

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, and let whoever slept until then run before returning."""
        self._ahead_s += seconds
        self._moved.set()
        self._moved = asyncio.Event()
        for _ in range(3):  # the sleeper wakes, acts, and what it woke acts
            await asyncio.sleep(0)

    async def _pass(self, seconds: float) -> None:
        """Return after these seconds, or earlier when the clock is moved."""
        try:
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        except TimeoutError:
            pass


class ManualClock(Clock):
    """A clock that stands still until `advance` moves it."""

    def __init__(self, now: float | None = None) -> None:
        super().__init__()
        self._began = float(round(time.time() if now is None else now))  # whole, so that sums are exact

    def now(self) -> float:
        return self._began + self._ahead_s

    async def _pass(self, seconds: float) -> None:
        await self._moved.wait()


def iso(seconds: float) -> str:
    """Write a time as Discord's messages do."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
