"""The programs that wait for what they asked for: each is told what its pictures look like so far, and the end.

What members see of their jobs is `delivery`'s affair, and how a program is answered that of `serving`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bot.job import Job


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What a job's pictures look like so far."""

    image: bytes
    """One small WebP, several pictures as a grid."""
    share: float
    """How much of the steps was taken, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class End:
    """A job has ended."""

    job: Job | None
    """As it is then; None where it was deleted."""


class Caller:
    """One program that waits for one job. Of several glimpses that it was too slow for it hears the newest."""

    def __init__(self) -> None:
        self._glimpse: Glimpse | None = None
        self._end: End | None = None
        self._news = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._end is not None

    def tell(self, news: Glimpse | End) -> None:
        """Something has happened; nothing does after an end."""
        if isinstance(news, End):
            self._end = self._end or news
        else:
            self._glimpse = news
        self._news.set()

    async def heard(self) -> Glimpse | End:
        """Wait for what happens next. After an end it is that for ever."""
        await self._news.wait()
        if self._end is not None:
            return self._end
        assert self._glimpse is not None, "there are news"
        self._news.clear()
        return self._glimpse

    async def end(self) -> End:
        """Wait for the end alone."""
        while not isinstance(news := await self.heard(), End):
            pass
        return news


class Callers:
    """All that wait. What happens to a job for which nobody waits is told to nobody."""

    def __init__(self) -> None:
        self._waiting: dict[int, Caller] = {}

    @contextmanager
    def waiting(self, job_id: int) -> Iterator[Caller]:
        """Somebody waits for this job within, who is the only one."""
        caller = self._waiting[job_id] = Caller()
        try:
            yield caller
        finally:
            del self._waiting[job_id]

    def tell(self, job_id: int, news: Glimpse | End) -> None:
        """Tell whoever waits for this job; returns at once."""
        if (caller := self._waiting.get(job_id)) is not None:
            caller.tell(news)
