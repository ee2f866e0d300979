"""What became of the newest jobs, for the status page: its SQL, and what is counted of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from bot.database import UNWRITTEN, Database
from bot.job import ENDS
from bot.watch.metrics import OURS
from bot.words import speaking, why_logged
from bot.words.catalogues import ENGLISH
from inference.protocol import Reason

NEWEST = 500
"""So many of the newest jobs are looked at, however many there are."""

FAILURES = 8

LOOK_EVERY_S = 5.0
"""However often somebody asks."""

OF_NEWEST = (
    # By the primary key, and without requests and recipes.
    "SELECT id, kind, state, failure_kind, failure, created_at, started_at, ended_at FROM job ORDER BY id DESC LIMIT ?"
)


class Failure(msgspec.Struct, frozen=True):
    """A job that failed."""

    job: int
    command: str
    why: str
    """In English, without what its member typed."""
    ours: bool
    """Whether it is a fault of ours, and not of what was asked for."""
    at: float


class Lately(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest jobs that have ended come to; times in seconds."""

    ended: int
    finished: int
    cancelled: int
    failed_by_us: int
    since: float | None
    """When the oldest of them was asked for."""
    median_wait_s: float | None
    p95_wait_s: float | None
    """From being asked for to being started."""
    median_work_s: float | None
    """From being started to the end, of those that finished."""


Seen = tuple[Lately, tuple[Failure, ...]]


class History:
    """Looks at the newest jobs, now and then."""

    def __init__(self, database: Database, commands: Mapping[str, str], clock: Callable[[], float] = time.time) -> None:
        """`commands` names the command of each kind of request."""
        self._database = database
        self._commands = commands
        self._clock = clock
        self._seen: tuple[float, Seen] | None = None

    async def look(self) -> Seen:
        """What they come to, as it was a moment ago, and those that failed last."""
        now = self._clock()
        if self._seen is None or not 0 <= now - self._seen[0] < LOOK_EVERY_S:
            self._seen = now, await self._look()
        return self._seen[1]

    async def _look(self) -> Seen:
        try:
            newest = await self._database.rows(OF_NEWEST, (NEWEST,))
        except UNWRITTEN:
            # Whether the database works is for /healthz to say.
            return self._seen[1] if self._seen is not None else self._counted(())
        return self._counted([row for row in newest if row["state"] in ENDS])

    def _counted(self, rows: Sequence[Any]) -> Seen:
        states = [row["state"] for row in rows]
        waits = sorted(max(row["started_at"] - row["created_at"], 0.0) for row in rows if row["started_at"] is not None)
        # Those that were made before were never started.
        work = sorted(
            max(row["ended_at"] - row["started_at"], 0.0)
            for row in rows
            if row["state"] == "finished" and None not in (row["started_at"], row["ended_at"])
        )
        failed = [row for row in rows if row["state"] == "failed"]
        lately = Lately(
            ended=len(rows),
            finished=states.count("finished"),
            cancelled=states.count("cancelled"),
            failed_by_us=sum(row["failure_kind"] in OURS for row in failed),
            since=min((row["created_at"] for row in rows), default=None),
            median_wait_s=_of_hundred(waits, 50),
            p95_wait_s=_of_hundred(waits, 95),
            median_work_s=_of_hundred(work, 50),
        )
        return lately, tuple(self._failure(row) for row in failed[:FAILURES])

    def _failure(self, row: Any) -> Failure:
        with speaking(ENGLISH):
            why = why_logged(msgspec.json.decode(row["failure"], type=Reason)) if row["failure"] else ""
        at = row["ended_at"] or row["created_at"]
        return Failure(row["id"], self._commands.get(row["kind"], row["kind"]), why, row["failure_kind"] in OURS, at)


def _of_hundred(ordered: Sequence[float], share: int) -> float | None:
    """What so many of a hundred do not exceed: one of those that there are (the nearest rank)."""
    return ordered[max(-(-len(ordered) * share // 100) - 1, 0)] if ordered else None
