"""Whose turn is next: fairness between members, and which jobs ride along in one forward pass.

Waiting jobs live in the database; this is the order over them, kept in memory. No SQL and no Discord here.
Whatever happens to one job costs O(log n).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from sortedcontainers import SortedDict, SortedList

from bot.job import Job
from inference.protocol import Request

PATIENCE_S = 15 * 60
"""A job that has waited this long has a share of the turns of its own."""

OVERDUE_EVERY = 2
"""Every so many turns the oldest job goes, if it has waited too long: an old backlog is worked off, and a newcomer does
not wait for the end of it."""

RIDERS_LOOKED_AT = 32
"""How many of the oldest jobs that fit a forward pass are considered for its free places."""

_Turn = tuple[float, int, int]
"""Of a member: when they were served last, their oldest job, who they are. The least is next."""


class Queue:
    """The waiting jobs. The member served least recently goes first; a member's own jobs go in their order.

    So the turns go in rounds: the first round serves the oldest job of every member, the second the next one of all
    who have two, and so on. `_rounds` holds the members of each, in order.
    """

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
        self._waiting: SortedDict[int, Job] = SortedDict()
        self._of_member: dict[int, SortedDict[int, Job]] = {}
        self._alike: dict[tuple[object, ...], SortedDict[int, Job]] = {}
        """Those that can share a forward pass, by their `pass_key`."""
        self._rounds: list[SortedList[_Turn]] = []
        self._work: dict[str, float] = defaultdict(float)
        self._turns = 0
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._waiting

    @property
    def work(self) -> Mapping[str, float]:
        """How much there is to do for all waiting jobs, by their kinds, each in the unit of its kind."""
        return {kind: work for kind, work in self._work.items() if work > 0}

    def put(self, job: Job) -> None:
        """Let a job wait for its turn."""
        if job.id in self._waiting:
            return
        member = job.reply.member_id
        self._leave_rounds(member)
        self._of_member.setdefault(member, SortedDict())[job.id] = job
        self._join_rounds(member)
        self._waiting[job.id] = job
        self._alike.setdefault(job.request.pass_key, SortedDict())[job.id] = job
        self._work[job.request.kind] += job.request.work
        self._arrival.set()

    def remove(self, job_id: int) -> bool:
        """Take a job out before its turn; False where it does not wait (any more)."""
        job = self._waiting.get(job_id)
        if job is None:
            return False
        self._take(job)
        return True

    def count_of(self, member_id: int) -> int:
        """How many jobs of this member wait."""
        return len(self._of_member.get(member_id, ()))

    def place(self, job: Job) -> int:
        """The place of a waiting job, counted from 1, as the order stands now."""
        return self._place(job.reply.member_id, self._of_member[job.reply.member_id].index(job.id))

    def next_place(self, member_id: int) -> int:
        """The place that a new job of this member would have."""
        return self._place(member_id, self.count_of(member_id))

    def in_order(self) -> Iterator[Job]:
        """The waiting jobs, the next one first, as the order stands now."""
        for number, turns in enumerate(self._rounds):
            for _, _, member in turns:
                yield self._of_member[member].values()[number]

    async def next_batch(self) -> tuple[Job, ...]:
        """Wait for a job, then take it out together with those that fit into its forward pass."""
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        first = self._first()
        batch = [first, *self._riders(first)]
        for job in batch:
            self._take(job, served_at=self._clock())
        return tuple(batch)

    def _first(self) -> Job:
        self._turns += 1
        oldest: Job = self._waiting.peekitem(0)[1]
        if self._turns % OVERDUE_EVERY == 0 and self._clock() - oldest.created_at > PATIENCE_S:
            return oldest
        return next(self.in_order())

    def _riders(self, first: Job) -> Iterator[Job]:
        room = self._capacity(first.request) - first.request.places
        # A job that has ended the engine once runs alone: its neighbours would be blamed with it.
        if room <= 0 or first.attempts:
            return
        candidates = islice(self._alike[first.request.pass_key].values(), RIDERS_LOOKED_AT)
        for job in sorted(candidates, key=self.place):
            if job is not first and not job.attempts and job.request.places <= room:
                room -= job.request.places
                yield job

    def _place(self, member: int, number: int) -> int:
        """The place of a member's job number `number`, counted from 0."""
        before = sum(len(turns) for turns in self._rounds[:number])
        same = self._rounds[number].bisect_left(self._turn(member)) if number < len(self._rounds) else 0
        return before + same + 1

    def _take(self, job: Job, served_at: float | None = None) -> None:
        member, own, alike = job.reply.member_id, self._of_member[job.reply.member_id], job.request.pass_key
        self._leave_rounds(member)
        if served_at is not None:
            # Later than whoever was served before, also within one tick of the clock.
            self._served[member] = max(served_at, self._served.get(member, 0.0))
        del self._waiting[job.id], own[job.id], self._alike[alike][job.id]
        self._work[job.request.kind] -= job.request.work
        if not self._alike[alike]:
            del self._alike[alike]
        if own:
            self._join_rounds(member)
        else:
            del self._of_member[member]
        if not self._waiting:
            # Differences of large numbers do not come back to nothing by themselves.
            self._work.clear()

    def _turn(self, member: int) -> _Turn:
        own = self._of_member.get(member)
        return (self._served.get(member, 0.0), own.peekitem(0)[0] if own else 2**63, member)

    def _leave_rounds(self, member: int) -> None:
        turn = self._turn(member)
        for turns in self._rounds[: self.count_of(member)]:
            turns.remove(turn)
        while self._rounds and not self._rounds[-1]:
            self._rounds.pop()

    def _join_rounds(self, member: int) -> None:
        turn, count = self._turn(member), self.count_of(member)
        while len(self._rounds) < count:
            self._rounds.append(SortedList())
        for turns in self._rounds[:count]:
            turns.add(turn)
