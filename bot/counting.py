"""What jobs come to, counted: a server's of some time, the SQL of /stats, and how long those of a kind took. Jobs that
were deleted are not counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot import costs
from bot.costs import Price
from bot.database import Database
from bot.job import request_of
from inference.protocol import Request

LISTED = 8
"""So many models, members and kinds of failures, those with most first."""

# Only what stands in the index job_of_guild is asked for: no request is read.
_JOBS = "FROM job WHERE guild_id = :guild AND created_at >= :since AND created_at < :until"

TOTALS = (
    "SELECT count(*) AS total, count(DISTINCT member_id) AS members, coalesce(sum(member_id = :member), 0) AS own,"
    f" coalesce(sum(state = 'finished'), 0) AS finished, count(started_at - created_at) AS waited {_JOBS}"
)
BUCKETS = f"SELECT CAST((created_at - :since) / :width AS INTEGER) AS bucket, count(*) AS count {_JOBS} GROUP BY bucket"
MODELS = (
    # Grouped at once it would read every request (SQLite 3.40).
    f"WITH asked AS MATERIALIZED (SELECT json_extract(request, '$.model') AS name {_JOBS})"
    " SELECT name, count(*) AS count FROM asked GROUP BY name ORDER BY count DESC, name LIMIT :limit"
)
MEMBERS = f"SELECT member_id AS name, count(*) AS count {_JOBS} GROUP BY member_id"
MEMBERS += " ORDER BY count DESC, name LIMIT :limit"
RANK = f"SELECT count(*) + 1 AS rank FROM (SELECT 1 {_JOBS} GROUP BY member_id HAVING count(*) > :own)"
ENDS = (
    f"SELECT iif(state = 'cancelled', 'cancelled', failure_kind) AS name, count(*) AS count {_JOBS}"
    " AND state IN ('failed', 'cancelled') GROUP BY name ORDER BY count DESC, name LIMIT :limit"
)
WAIT = f"SELECT started_at - created_at AS wait {_JOBS} AND started_at IS NOT NULL ORDER BY wait LIMIT 1 OFFSET :place"


@dataclass(frozen=True, slots=True)
class Counted:
    """The jobs of a server in some time; waits from being asked for to being started, in seconds."""

    total: int
    finished: int
    members: int
    """How many of them asked for something."""
    own: int
    """How many jobs are of the member who asks."""
    rank: int | None
    """Which place that is among all members; None where they have none."""
    median_wait_s: float | None
    p95_wait_s: float | None
    """Of 100 jobs 95 waited no longer."""
    buckets: Sequence[int]
    """How many were asked for in each part of the time, the oldest first."""
    models: Mapping[str, int]
    ends: Mapping[str, int]
    """How many ended badly, by the kind of failure, or were cancelled."""
    of_members: Mapping[int, int]
    spent: Sequence[Price] = ()
    """On models of other servers, by currency; of a month at most. Deleted jobs are among it."""


class Counting:
    """Counts jobs."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        # However many ask at once, a job that is to be written down waits for one of these statements, not for all.
        self._counting = asyncio.Lock()

    async def last_served(self) -> dict[int, float]:
        """When each member's newest job was started."""
        rows = await self._database.rows(
            "SELECT member_id, max(started_at) AS at FROM job WHERE started_at IS NOT NULL GROUP BY member_id"
        )
        return {row["member_id"]: row["at"] for row in rows}

    async def of_server(self, guild_id: int, member_id: int, *, width_s: float, parts: int) -> Counted:
        """What a server's jobs come to, in so many parts of this width before now, for this member."""
        async with self._counting:
            return await self._count(guild_id, member_id, width_s, parts)

    async def spent_by(self, member_id: int, guild_id: int | None) -> list[tuple[Price, Price]]:
        """What a member has spent there in a day and in 30 days, by currency."""
        return await costs.of_member(self._database, member_id, guild_id, self._clock())

    async def _count(self, guild_id: int, member_id: int, width_s: float, parts: int) -> Counted:
        until = self._clock() + 1
        named: dict[str, Any] = {
            "guild": guild_id,
            "member": member_id,
            "since": until - parts * width_s,
            "until": until,
            "width": width_s,
            "limit": LISTED,
        }
        totals = await self._database.row(TOTALS, named)
        assert totals is not None, "it counts"
        buckets = [0] * parts
        for row in await self._database.rows(BUCKETS, named):
            buckets[min(row["bucket"], parts - 1)] = row["count"]
        ranked = await self._database.row(RANK, named | {"own": totals["own"]})
        assert ranked is not None, "it counts"
        waited = totals["waited"]
        return Counted(
            total=totals["total"],
            finished=totals["finished"],
            members=totals["members"],
            own=totals["own"],
            rank=ranked["rank"] if totals["own"] else None,
            median_wait_s=await self._wait(named, (waited - 1) // 2, waited),
            # The nearest rank, so that it is a wait that there was.
            p95_wait_s=await self._wait(named, -(-waited * 95 // 100) - 1, waited),
            buckets=buckets,
            models=await self._counts(MODELS, named),
            ends=await self._counts(ENDS, named),
            spent=await costs.of_server(self._database, guild_id, named["since"]),
            of_members=await self._counts(MEMBERS, named),
        )

    async def durations_of_kind(self, kind: str, limit: int = 20) -> list[tuple[Request, float, float]]:
        """What the newest jobs of a kind that the engine made asked for, its seconds on each, their share of them."""
        rows = await self._database.rows(
            "SELECT request, seconds, share FROM job WHERE kind = ? AND state = 'finished' AND seconds > 0"
            " ORDER BY id DESC LIMIT ?",
            (kind, limit),
        )
        return [(request_of(row), row["seconds"], row["share"]) for row in rows]

    async def _wait(self, named: Mapping[str, Any], place: int, waited: int) -> float | None:
        if not waited:
            return None
        row = await self._database.row(WAIT, {**named, "place": place})
        return None if row is None else max(row["wait"], 0.0)

    async def _counts(self, statement: str, named: Mapping[str, Any]) -> dict[Any, int]:
        return {row["name"]: row["count"] for row in await self._database.rows(statement, named)}
