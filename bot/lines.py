"""The jobs of one kind of lanes, waiting or running: where each stands, when it is ready, what its card says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot import cards
from bot.delivery import Delivery
from bot.engine.interface import Engine, Lane
from bot.job import Job
from bot.pace import Pace
from bot.queue import Queue
from bot.runs import Run
from inference.protocol import Preview, Progress, Request

SHOWN_PLACES = 5
"""How many of the next jobs are told when the queue moves: a hundred edits would use up Discord's limits."""

SHOW_EVERY_S = 1.0
"""So often at most."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job is that has not ended."""

    place: int | None
    """In the queue, counted from 1; None where it runs."""
    ready_at: float | None = None
    """The estimate, where there is one."""
    progress: Progress | None = None
    absence: cards.Absence | None = None
    """Why there is nobody just now who would run it."""


class Line:
    """A queue, the lanes that work it off, and what runs in them. `show_places`, and `watch` each lane, for as long as
    the bot lives."""

    def __init__(
        self,
        delivery: Delivery,
        pace: Pace,
        served: Mapping[int, float],
        clock: Callable[[], float],
        engine: Engine,
        *,
        quick: bool,
    ) -> None:
        """`served` tells when each member's last job was started. The lanes are those of the engine that are quick, or
        all others."""
        self.queue = Queue(served=served, clock=clock)
        self.running: dict[int, Running] = {}
        self._delivery = delivery
        self._pace = pace
        self._clock = clock
        self._moved = asyncio.Event()
        self._engine = engine
        self._quick = quick
        self._was_up = False
        self._turned = asyncio.Event()

    def put(self, job: Job) -> None:
        """Let a queued job wait for its turn."""
        self.queue.put(job)
        self._moved.set()

    def take_out(self, job_id: int) -> None:
        """Let a job have no turn: out of the queue, or out of the hands that are about to send it."""
        self.queue.remove(job_id)
        if (running := self.running.get(job_id)) is not None:
            running.cancelled = True

    async def next_batch(self, lane: Lane) -> tuple[Job, ...]:
        """Wait for the lane and for jobs; those that it is to run next count as running from here on.

        Nothing where the lane is gone for good.
        """
        while await lane.up():
            if batch := await self._taken(self.queue.next_batch(lane), lane.down()):
                return batch
        return ()

    async def next_riders(self, run: Run) -> tuple[Job, ...]:
        """Wait for jobs that can join this run; they count as running from here on. Nothing where none can any more."""
        if run.departed.is_set() or not run.room:
            return ()
        return await self._taken(self.queue.next_riders(run.jobs[0], run.room), run.departed.wait())

    async def _taken(
        self, taken: Coroutine[Any, Any, tuple[Job, ...]], too_late: Coroutine[Any, Any, object]
    ) -> tuple[Job, ...]:
        """What is taken out of the queue, unless something else happens first; nothing then."""
        taking, other = asyncio.create_task(self._into_hands(taken)), asyncio.create_task(too_late)
        try:
            await asyncio.wait((taking, other), return_when=asyncio.FIRST_COMPLETED)
        finally:
            other.cancel()
            if not taking.done():
                taking.cancel()
        return taking.result() if taking.done() else ()

    async def _into_hands(self, taken: Coroutine[Any, Any, tuple[Job, ...]]) -> tuple[Job, ...]:
        # In the same moment out of the queue and in these hands: in between nobody could cancel them.
        batch = await taken
        self.running |= {job.id: Running(job) for job in batch}
        return batch

    def began(self, batch: Sequence[Job], started: Collection[int]) -> None:
        """Let go of those of the batch that have not started, and tell those that wait that the queue has moved."""
        for job in batch:
            if job.id not in started:
                # Whoever ended it before has brought that: painted now, it would be shown as running for ever.
                del self.running[job.id]
        self._moved.set()

    def still_running(self, batch: Sequence[Job]) -> list[Job]:
        """The batch's jobs that have not ended."""
        return [job for job in batch if job.id in self.running]

    def share(self, together: Sequence[Job]) -> None:
        """Take in which jobs share a pass: each that is wanted has the share of it that its places are."""
        wanted = [job for job in self.still_running(together) if not self.running[job.id].cancelled]
        places = sum(job.request.places for job in wanted)
        for job in wanted:
            self.running[job.id].share = job.request.places / places

    def note(self, event: Progress | Preview) -> None:
        """Take in how a running job gets on, and show it."""
        if isinstance(event, Progress):
            self.running[event.job].progress = event
        else:
            running = self.running[event.job]
            running.preview = event.image
            self._delivery.glimpse(running.job, event.image, running.share_taken)
        self.show(event.job)

    def show(self, job_id: int) -> None:
        """Bring the card of a running job up to date, if anybody wants it still."""
        running = self.running[job_id]
        if not running.cancelled:
            self._delivery.show(running.job, running.card)

    def card(self, job: Job) -> cards.Card:
        """How a job looks that is about to wait here: with the place that it will have."""
        headline = self._delivery.headline(job)
        if (absence := self.absence) is not None:
            return cards.unattended(job, headline, absence)
        place = self.queue.next_place(job.reply.member_id)
        return cards.waiting(job, headline, place, self._ready_at(job, place))

    def standing(self, job_id: int) -> Standing | None:
        """Where a job stands that waits or runs here; None where it does neither."""
        if (running := self.running.get(job_id)) is not None:
            return Standing(None, progress=running.progress)
        if (job := self.queue.find(job_id)) is None:
            return None
        place = self.queue.place(job)
        absence = self.absence
        return Standing(place, None if absence else self._ready_at(job, place), absence=absence)

    def _ready_at(self, job: Job, place: int) -> float | None:
        """When a job at this place will be ready, as far as that is known."""
        ahead_s = self._pace.cost_s(self.queue.work)
        own_s = self._pace.own_s(job.request)
        running_s = self._pace.cost_s_of(self._requests())
        if ahead_s is None or own_s is None or running_s is None:
            return None
        # The others are all alike for this: one sum over each of thousands would cost more than it tells.
        ahead_s *= (place - 1) / max(len(self.queue), 1)
        return self._clock() + self._wait_s(running_s + ahead_s) + own_s

    async def watch(self, lane: Lane) -> None:
        """Tell those that wait whenever the lane goes away or comes back, until it is gone for good."""
        while await lane.up():
            self._was_up = True
            self._turn()
            await lane.down()
            self.queue.forget(lane)
            self._turn()
        self._turn()

    async def turned(self) -> None:
        """Wait until a lane has come or gone since this returned last. For one who waits."""
        await self._turned.wait()
        self._turned.clear()

    def _turn(self) -> None:
        self._moved.set()
        self._turned.set()

    @property
    def absence(self) -> cards.Absence | None:
        """Why there is no lane just now that would run a job; None where there is one."""
        if any(lane.is_up for lane in self._lanes()):
            return None
        return "restarting" if self._was_up else "starting"

    def _lanes(self) -> list[Lane]:
        return [lane for lane in self._engine.lanes if lane.quick is self._quick]

    async def show_places(self) -> None:
        """Bring the cards of the next jobs up to date whenever the queue has moved: places, and when they are ready."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            self._show_next()
            await asyncio.sleep(SHOW_EVERY_S)

    def _show_next(self) -> None:
        ahead = self._requests()
        for place, job in zip(range(1, SHOWN_PLACES + 1), self.queue.in_order(), strict=False):
            if (absence := self.absence) is not None:
                self._delivery.show(job, partial(cards.unattended, job, absence=absence))
                continue
            before_s, own_s = self._pace.cost_s_of(ahead), self._pace.own_s(job.request)
            ahead.append(job.request)
            ready_at = None
            if before_s is not None and own_s is not None:
                ready_at = self._clock() + self._wait_s(before_s) + own_s
            self._delivery.show(job, partial(cards.waiting, job, place=place, ready_at=ready_at))

    def _wait_s(self, work_s: float) -> float:
        """How long so much work keeps those waiting that come after it: all lanes that are up share it."""
        return work_s / max(sum(lane.is_up for lane in self._lanes()), 1)

    def _requests(self) -> list[Request]:
        return [running.job.request for running in self.running.values() if not running.is_finishing]


class Running:
    """A job in the engine's hands, and the newest that is known of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.request = job.request
        """As it was sent."""
        self.progress: Progress | None = None
        self.preview: bytes | None = None
        self.cancelled = False
        self.hidden = False
        """Whether what comes of it is: what it is made of was flagged."""
        self.share = 1.0
        """Of the pass that it takes part in."""

    @property
    def share_taken(self) -> float:
        """How much of its steps was taken, from 0 to 1."""
        return self.progress.step / max(self.progress.steps, 1) if self.progress is not None else 0.0

    @property
    def is_finishing(self) -> bool:
        """Whether nobody waits for it any more who comes after it."""
        return self.progress is not None and self.progress.stage == "finishing"

    def card(self, headline: str) -> cards.Card:
        """How it looks now."""
        return cards.running(self.job, headline, self.progress, self.preview)
