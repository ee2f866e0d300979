"""Whose turn is next: fairness between members, and which jobs ride along in one forward pass.

Waiting jobs live in the database; this is the order over them, kept in memory. No SQL and no Discord here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from bot.jobs import Job
from inference.protocol import Request

PATIENCE_S = 15 * 60
"""A job that has waited this long goes before everybody's turn."""


class Queue:
    """The waiting jobs. The member served least recently goes first; a member's own jobs go in their order."""

    def __init__(
        self,
        capacity: Callable[[Request], int],
        served: Mapping[int, float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`capacity` tells how many places the forward pass of a request like this one has; `served` when
        each member's last job was started."""
        self._capacity = capacity
        self._served = dict(served or {})
        self._clock = clock
        self._waiting: dict[int, Job] = {}
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._waiting

    def put(self, job: Job) -> None:
        """Let a job wait for its turn."""
        self._waiting[job.id] = job
        self._arrival.set()

    def remove(self, job_id: int) -> bool:
        """Take a job out before its turn; False where it does not wait (any more)."""
        return self._waiting.pop(job_id, None) is not None

    def count_of(self, member_id: int) -> int:
        """How many jobs of this member wait."""
        return sum(job.reply.member_id == member_id for job in self._waiting.values())

    def in_order(self) -> list[Job]:
        """All waiting jobs, the next one first, as the order stands now."""
        now = self._clock()
        waiting, served, order = dict(self._waiting), dict(self._served), list[Job]()
        while waiting:
            job = min(waiting.values(), key=lambda job: _turn(job, served, now))
            del waiting[job.id]
            # Later than anything that has happened, and later with every job of this member's.
            served[job.reply.member_id] = now + len(order) + 1
            order.append(job)
        return order

    async def next_batch(self) -> tuple[Job, ...]:
        """Wait for a job, then take it out together with those that fit into its forward pass."""
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        order = self.in_order()
        batch = [order[0]]
        room = self._capacity(order[0].request) - order[0].request.places
        for job in order[1:]:
            # A job that has ended the engine once runs alone: its neighbours would be blamed with it.
            alone = order[0].attempts or job.attempts
            if not alone and job.request.places <= room and job.request.pass_key == batch[0].request.pass_key:
                batch.append(job)
                room -= job.request.places
        for job in batch:
            del self._waiting[job.id]
            self._served[job.reply.member_id] = self._clock()
        return tuple(batch)


def _turn(job: Job, served: Mapping[int, float], now: float) -> tuple[int, float, int]:
    if now - job.created_at > PATIENCE_S:
        return (0, 0.0, job.id)
    return (1, served.get(job.reply.member_id, 0.0), job.id)
