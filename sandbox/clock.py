"""What time it is. Everything that expires asks a clock, so that a test can make fifteen minutes pass at once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The real time."""

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        """Return once `delay_s` seconds have passed on this clock."""
        await asyncio.sleep(delay_s)


class ManualClock(Clock):
    """A clock that stands still until `advance` moves it."""

    def __init__(self, now: float | None = None) -> None:
        self._now = time.time() if now is None else now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, delay_s: float) -> None:
        waker = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + delay_s, waker))
        await waker

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, and let whoever slept until then run before returning."""
        self._now += seconds
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now]
        for _, waker in due:
            if not waker.done():
                waker.set_result(None)
        for _ in range(3):  # the sleeper wakes, acts, and what it woke acts
            await asyncio.sleep(0)


def iso(seconds: float) -> str:
    """Write a time as Discord's messages do."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
