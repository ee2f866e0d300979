"""The jobs of one lane of the engine, waiting or running: where each stands, when it is ready, what its card says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from bot import cards
from bot.delivery import Delivery
from bot.engine.interface import Lane
from bot.job import Job
from bot.pace import Pace
from bot.queue import Queue
from inference.protocol import Preview, Progress, Request

SHOWN_PLACES = 5
"""How many of the next jobs are told when the queue moves: a hundred edits would use up Discord's limits."""

SHOW_EVERY_S = 1.0
"""So often at most."""


class Line:
    """A lane, the queue before it, and what runs in it. `show_places` and `watch` for as long as the bot lives."""

    def __init__(
        self, lane: Lane, delivery: Delivery, pace: Pace, served: Mapping[int, float], clock: Callable[[], float]
    ) -> None:
        """`served` tells when each member's last job was started."""
        self.lane = lane
        self.queue = Queue(lane.capacity, served, clock)
        self.running: dict[int, Running] = {}
        self._delivery = delivery
        self._pace = pace
        self._clock = clock
        self._moved = asyncio.Event()
        self._away = False

    @property
    def load(self) -> tuple[bool, int]:
        """The less, the sooner a new job has its turn: whether the lane is away, and how many jobs it has."""
        return self._away, len(self.queue) + len(self.running)

    def put(self, job: Job) -> None:
        """Let a queued job wait for its turn."""
        self.queue.put(job)
        self._moved.set()

    def take_out(self, job_id: int) -> None:
        """Let a job have no turn: out of the queue, or out of the hands that are about to send it."""
        self.queue.remove(job_id)
        if (running := self.running.get(job_id)) is not None:
            running.cancelled = True

    async def next_batch(self) -> tuple[Job, ...]:
        """Wait for the lane and for jobs; those that are next count as running from here on."""
        await self.lane.up()
        batch = await self.queue.next_batch()
        self.running |= {job.id: Running(job) for job in batch}
        return batch

    def began(self) -> None:
        """Tell those that wait that the queue has moved."""
        self._moved.set()

    def still_running(self, batch: tuple[Job, ...]) -> list[Job]:
        """The batch's jobs that have not ended."""
        return [job for job in batch if job.id in self.running]

    def note(self, event: Progress | Preview) -> None:
        """Take in how a running job gets on, and show it."""
        if isinstance(event, Progress):
            self.running[event.job].progress = event
        else:
            self.running[event.job].preview = event.image
        self.show(event.job)

    def show(self, job_id: int) -> None:
        """Bring the card of a running job up to date, if anybody wants it still."""
        running = self.running[job_id]
        if not running.cancelled:
            self._delivery.show(running.job, running.card)

    def card(self, job: Job) -> cards.Card:
        """How a job looks that is about to wait here: with the place that it will have."""
        headline = self._delivery.headline(job)
        if self._away:
            return cards.restarting(job, headline)
        place = self.queue.next_place(job.reply.member_id)
        ahead_s = self._pace.seconds(self.queue.work)
        own_s = self._pace.seconds_of([job.request])
        running_s = self._pace.seconds_of(self._requests())
        if ahead_s is None or own_s is None or running_s is None:
            return cards.waiting(job, headline, place, None)
        # The others are all alike for this: one sum over each of thousands would cost more than it tells.
        ahead_s *= (place - 1) / max(len(self.queue), 1)
        return cards.waiting(job, headline, place, self._clock() + running_s + ahead_s + own_s)

    async def watch(self) -> None:
        """Tell those that wait whenever the lane goes away or comes back."""
        while True:
            await self.lane.down()
            self._away = True
            self._moved.set()
            await self.lane.up()
            self._away = False
            self._moved.set()

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
            if self._away:
                self._delivery.show(job, partial(cards.restarting, job))
                continue
            ahead.append(job.request)
            seconds = self._pace.seconds_of(ahead)
            ready_at = None if seconds is None else self._clock() + seconds
            self._delivery.show(job, partial(cards.waiting, job, place=place, ready_at=ready_at))

    def _requests(self) -> list[Request]:
        return [running.job.request for running in self.running.values()]


class Running:
    """A job in the engine's hands, and the newest that is known of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress: Progress | None = None
        self.preview: bytes | None = None
        self.cancelled = False

    def card(self, headline: str) -> cards.Card:
        """How it looks now."""
        return cards.running(self.job, headline, self.progress, self.preview)
