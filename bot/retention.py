"""How long pictures are kept, and in how many bytes: which files go, and when. The jobs stay, with their recipes.

How a file leaves the disk is `jobs`' and `pictures.kept`'s affair.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

from bot.audit import DAY_S
from bot.database import UNWRITTEN, Database
from bot.jobs import Jobs
from bot.policies.kept import Policies

log = logging.getLogger(__name__)

EVERY_S = 600.0

AT_ONCE = 100
"""So many jobs are looked up at a time."""

HELD = (
    # What is still to be shown to its member stays until then.
    " state IN ('finished', 'failed', 'cancelled') AND delivered_at IS NOT NULL"
    " AND id NOT IN (SELECT job_id FROM let_go)"
    " AND (EXISTS (SELECT 1 FROM picture WHERE job_id = job.id) OR EXISTS (SELECT 1 FROM input WHERE job_id = job.id))"
)
STARRED = " EXISTS (SELECT 1 FROM favourite WHERE job_id = job.id)"

OF_BEFORE = (
    "SELECT id FROM job WHERE guild_id IS :guild AND created_at < :cut"
    f" AND {HELD} AND NOT {STARRED} ORDER BY created_at LIMIT :limit"
)
SERVERS = (
    # One step in the index for each server, however many jobs it has.
    "WITH RECURSIVE server (id) AS (SELECT min(guild_id) FROM job UNION ALL"
    " SELECT (SELECT min(guild_id) FROM job WHERE guild_id > server.id) FROM server WHERE server.id IS NOT NULL)"
    " SELECT id FROM server"
)
"""Direct messages among them, as NULL."""

OLDEST = f"SELECT id, {STARRED} AS starred FROM job WHERE id > :after AND {HELD} AND starred = :starred"
OLDEST += " ORDER BY id LIMIT :limit"


class Retention:
    """Lets the pictures of old jobs go."""

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        policies: Policies,
        most_gb: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`most_gb` bounds all pictures together; how many days a server keeps its own is in `policies`."""
        self._database = database
        self._jobs = jobs
        self._policies = policies
        self._most_bytes = None if most_gb is None else int(most_gb * 1e9)
        self._clock = clock

    async def keep(self) -> NoReturn:
        """Sweep now and then for as long as the bot runs, and the audit too."""
        while True:
            try:
                await self._jobs.audit.forget()
                await self.sweep()
            except UNWRITTEN as error:
                log.warning("what is too old could not be removed, trying again in %.0f s: %s", EVERY_S, error)
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """Let go what is older than its server keeps it, favourites aside; then the oldest of all until the rest is
        within its bound, favourites last. Returns how many jobs those were."""
        gone = 0
        for row in await self._database.rows(SERVERS):
            if (days := self._policies.days_kept(row["id"])) is not None:
                async for job_id in self._before(row["id"], self._clock() - days * DAY_S):
                    await self._jobs.let_go(job_id)
                    gone += 1
        await self._trainings()
        gone += await self._within_bound()
        if gone:
            log.info("the pictures of %d old jobs were removed", gone)
        return gone

    async def _trainings(self) -> None:
        """Erase trainings that rest and are older than their server keeps pictures: what has come of them is kept for
        itself."""
        trainings = self._jobs.trainings
        for guild_id in await trainings.servers():
            if (days := self._policies.days_kept(guild_id)) is not None:
                for training in await trainings.rested(guild_id, self._clock() - days * DAY_S):
                    await trainings.erase(training.id)
                    log.info("training %d was old and is gone", training.id)

    async def _within_bound(self) -> int:
        if self._most_bytes is None:
            return 0
        gone, total = 0, await self._jobs.pictures.total_bytes()
        for starred in (False, True):
            if total > self._most_bytes:
                async for job_id in self._oldest(starred=starred):
                    total -= await self._jobs.let_go(job_id)
                    gone += 1
                    if total <= self._most_bytes:
                        break
        return gone

    async def _before(self, guild_id: int | None, cut: float) -> AsyncIterator[int]:
        """The jobs of a server from before, those that are let go meanwhile aside."""
        while rows := await self._database.rows(OF_BEFORE, {"guild": guild_id, "cut": cut, "limit": AT_ONCE}):
            for row in rows:
                yield row["id"]

    async def _oldest(self, *, starred: bool) -> AsyncIterator[int]:
        """All jobs that hold files, the oldest first."""
        after = 0
        while rows := await self._database.rows(OLDEST, {"after": after, "starred": starred, "limit": AT_ONCE}):
            for row in rows:
                after = row["id"]
                yield after
