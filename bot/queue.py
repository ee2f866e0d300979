"""Whose turn is next: fairness between members, few changes of model, and which jobs ride along in one forward pass.

Waiting jobs live in the database; this is the order over them, kept in memory. No SQL and no Discord here.
Whatever happens to one job costs O(log n).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from sortedcontainers import SortedDict, SortedList

from bot.job import Job
from inference.protocol import Grid, Imagine, Request

PATIENCE_S = 15 * 60
"""A job that has waited this long has a share of the turns of its own."""

OVERDUE_EVERY = 2
"""Every so many turns the oldest job goes, if it has waited too long: an old backlog is worked off, and a newcomer does
not wait for the end of it."""

PASSED_AT_MOST = 6
"""So many jobs of the model at work go before the one whose turn it is and that wants another: then models change."""

RIDERS_LOOKED_AT = 32
"""How many of the oldest jobs that fit a forward pass are considered for its free places."""

_Turn = tuple[float, int, int]
"""Of a member: when they were served last, their oldest job, who they are. The least is next."""


class Taker(Protocol):
    """Who takes jobs out of the queue to run them, one batch after the other."""

    def takes(self, request: Request) -> bool:
        """Whether it can run this one as well as any other taker can."""

    def capacity(self, request: Request) -> int:
        """How many places the forward pass of a request like this one has there."""


class Queue:
    """The waiting jobs. The member served least recently goes first; a member's own jobs go in their order.

    So the turns go in rounds: the first round serves the oldest job of every member, the second the next one of all
    who have two, and so on. `_rounds` holds the members of each, in order.

    A job of the model at work may go before its turn (PASSED_AT_MOST), also before its member's own of another model,
    but only one of a member whom this round has not served yet: nobody has a second turn for it while another waits
    for the first. Places are told without that.

    There may be several takers. Each has a model at work of its own, and none waits while there is a job that it takes.
    """

    def __init__(
        self,
        capacity: Callable[[Request], int] = lambda _: 1,
        served: Mapping[int, float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`served` tells when each member's last job was started; `capacity`, for one taker that does without a name,
        how many places the forward pass of a request like this one has."""
        self._served = dict(served or {})
        self._clock = clock
        self._waiting: SortedDict[int, Job] = SortedDict()
        self._of_member: dict[int, SortedDict[int, Job]] = {}
        self._alike: dict[tuple[object, ...], SortedDict[int, Job]] = {}
        """Those that can share a forward pass, by their `pass_key`."""
        self._rounds: list[SortedList[_Turn]] = []
        self._of_model: dict[str, SortedList[_Turn]] = {}
        """The members who have jobs of each model, in the order of their turns."""
        self._own: dict[int, dict[str, SortedDict[int, Job]]] = {}
        """Each member's jobs by their models."""
        self._hands: dict[Taker, _Hand] = {}
        """What each of those has taken who take jobs."""
        self._anyone: Taker = _Anyone(capacity)
        self._served_in_round: set[int] = set()
        self._work: dict[str, float] = defaultdict(float)
        self._turns = 0
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._waiting

    def find(self, job_id: int) -> Job | None:
        """The job of this number, None where it does not wait (any more)."""
        job: Job | None = self._waiting.get(job_id)
        return job

    @property
    def oldest(self) -> Job | None:
        """The job that was asked for first of those that wait."""
        return self.find(next(iter(self._waiting), 0))

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
        if (model := _model(job.request)) is not None:
            self._own.setdefault(member, {}).setdefault(model, SortedDict())[job.id] = job
        self._join_rounds(member)
        self._waiting[job.id] = job
        self._alike.setdefault(job.request.pass_key, SortedDict())[job.id] = job
        self._work[job.request.kind] += job.request.work
        self._arrival.set()

    def remove(self, job_id: int) -> bool:
        """Take a job out before its turn; False where it does not wait (any more)."""
        if (job := self.find(job_id)) is not None:
            self._take(job)
        return job is not None

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

    async def next_batch(self, taker: Taker | None = None) -> tuple[Job, ...]:
        """Wait for a job that the taker takes, then take it out together with those that fit into its forward pass.

        Of several who wait the one has it that used its model last.
        """
        taker = taker or self._anyone
        hand = self._hands.setdefault(taker, _Hand())
        hand.idle = True
        try:
            while (turn := self._turn_of(taker, hand)) is None:
                self._arrival.clear()
                await self._arrival.wait()
        finally:
            hand.idle = False
            # What was left to this one may be for another now.
            self._arrival.set()
        first, is_sooner = turn
        self._turns += 1
        hand.take(_model(first.request), self._turns, is_sooner)
        batch = [first, *self._riders(first, taker.capacity(first.request) - first.request.places)]
        for job in batch:
            self._take(job, served_at=self._clock())
        return tuple(batch)

    async def next_riders(self, first: Job, room: int) -> tuple[Job, ...]:
        """Wait for jobs that fit into so many free places of this job's forward pass, then take them out."""
        while not (riders := tuple(self._riders(first, room))):
            self._arrival.clear()
            await self._arrival.wait()
        for job in riders:
            self._take(job, served_at=self._clock())
        return riders

    def forget(self, taker: Taker) -> None:
        """Nothing is loaded any more where this one runs its jobs."""
        self._hands.pop(taker, None)

    def _turn_of(self, taker: Taker, hand: _Hand) -> tuple[Job, bool] | None:
        """The next job for this taker, and whether it goes before its turn; None where there is nothing for it now."""
        fair = next((job for job in self.in_order() if taker.takes(job.request)), None)
        if fair is None:
            return None
        oldest: Job = self._waiting.peekitem(0)[1]
        overdue = (self._turns + 1) % OVERDUE_EVERY == 0 and self._clock() - oldest.created_at > PATIENCE_S
        if overdue and taker.takes(oldest.request):
            return oldest, False
        if fair.reply.member_id in self._served_in_round:
            self._served_in_round.clear()
        if (sooner := self._of_model_at_work(fair, hand)) is not None and taker.takes(sooner.request):
            return sooner, True
        return None if self._is_for_another(fair, hand) else (fair, False)

    def _is_for_another(self, job: Job, hand: _Hand) -> bool:
        """Whether somebody else who waits has used the job's model, and later than this one."""
        model = _model(job.request)
        return model is not None and any(
            other.idle and other.used.get(model, 0) > hand.used.get(model, 0) and taker.takes(job.request)
            for taker, other in self._hands.items()
        )

    def _of_model_at_work(self, fair: Job, hand: _Hand) -> Job | None:
        """What may go before the job whose turn it is, so that the model at work need not change yet."""
        model = hand.at_work
        if model is None or _model(fair.request) in (None, model) or hand.passed >= PASSED_AT_MOST:
            return None
        turns = self._of_model.get(model)
        if not turns or (member := turns[0][2]) in self._served_in_round:
            return None
        return self.find(next(iter(self._own[member][model])))

    def _riders(self, first: Job, room: int) -> Iterator[Job]:
        # A job that has ended the engine once runs alone: its neighbours would be blamed with it.
        if room <= 0 or first.attempts:
            return
        candidates = islice(self._alike.get(first.request.pass_key, {}).values(), RIDERS_LOOKED_AT)
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
        model = _model(job.request)
        self._leave_rounds(member)
        if served_at is not None:
            # Later than whoever was served before, also within one tick of the clock.
            self._served[member] = max(served_at, self._served.get(member, 0.0))
            self._served_in_round.add(member)
        del self._waiting[job.id], own[job.id], self._alike[alike][job.id]
        self._work[job.request.kind] -= job.request.work
        if not self._alike[alike]:
            del self._alike[alike]
        if model is not None:
            del self._own[member][model][job.id]
            if not self._own[member][model]:
                del self._own[member][model]
        if own:
            self._join_rounds(member)
        else:
            del self._of_member[member]
            self._own.pop(member, None)
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
        for model in self._own.get(member, ()):
            self._of_model[model].remove(turn)
            if not self._of_model[model]:
                del self._of_model[model]
        while self._rounds and not self._rounds[-1]:
            self._rounds.pop()

    def _join_rounds(self, member: int) -> None:
        turn, count = self._turn(member), self.count_of(member)
        while len(self._rounds) < count:
            self._rounds.append(SortedList())
        for turns in self._rounds[:count]:
            turns.add(turn)
        for model in self._own.get(member, ()):
            self._of_model.setdefault(model, SortedList()).add(turn)


class _Anyone:
    """The one taker where there are no others: it takes everything."""

    def __init__(self, capacity: Callable[[Request], int]) -> None:
        self.capacity = capacity

    def takes(self, request: Request) -> bool:
        return True


@dataclass
class _Hand:
    """What one taker has taken."""

    idle: bool = False
    """Whether it waits for a job."""
    at_work: str | None = None
    """The model of the jobs that it took last."""
    passed: int = 0
    """How many jobs of that have gone before their turn."""
    used: dict[str, int] = field(default_factory=dict)
    """In which turn it took a job of each model last: what was used last is most likely still loaded."""

    def take(self, model: str | None, turn: int, is_sooner: bool) -> None:
        """Note a job of this model, taken in this turn, that goes before its own or not."""
        self.passed += is_sooner
        if model is None:
            return
        self.used[model] = turn
        if model != self.at_work:
            self.at_work, self.passed = model, 0


def _model(request: Request) -> str | None:
    """The picture model that a request needs, if it does: what else there is is small and stays beside one."""
    return request.model if isinstance(request, Imagine | Grid) else None
