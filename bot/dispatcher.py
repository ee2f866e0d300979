"""From the queue through the engine to delivery: takes jobs in, runs them, and loses none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import discord

from bot import cards, delivery
from bot.delivery import Delivery
from bot.engine import Engine
from bot.errors import EngineDied, MemberError
from bot.jobs import MAX_ATTEMPTS, Job, Jobs
from bot.queue import Queue
from inference.protocol import Event, Failed, Finished, Preview, Progress, Ready, Request

log = logging.getLogger(__name__)

SHOWN_PLACES = 5
"""How many of the next jobs are told each time that the queue moves: a hundred edits would use up Discord's limits."""

RESTART_AFTER_S = (1.0, 5.0, 30.0)
"""Waits before the engine is started again; the last one repeats."""


class Dispatcher:
    """The one place through which every job goes. `run` it for as long as the bot lives."""

    def __init__(
        self,
        jobs: Jobs,
        queue: Queue,
        engine: Engine,
        delivery: Delivery,
        *,
        max_waiting: int,
        max_waiting_per_member: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.jobs = jobs
        self._queue = queue
        self._engine = engine
        self._delivery = delivery
        self._max_waiting = max_waiting
        self._max_waiting_per_member = max_waiting_per_member
        self._clock = clock
        self._running: dict[int, _Running] = {}

    @property
    def ready(self) -> Ready:
        """What the engine can do."""
        return self._engine.ready

    async def submit(self, interaction: discord.Interaction, request: Request, parent_id: int | None = None) -> Job:
        """Accept a request: from here on it is answered in a reply of its own. Raises MemberError instead where
        too many wait already."""
        if self._queue.count_of(interaction.user.id) >= self._max_waiting_per_member:
            raise MemberError(
                f"You have {self._max_waiting_per_member} jobs waiting, which is the most for one member:"
                " wait for one to start, or cancel one."
            )
        if len(self._queue) >= self._max_waiting:
            raise MemberError(f"{len(self._queue)} jobs are waiting already: try again in a few minutes.")
        reply = await delivery.acknowledge(interaction)
        job = await self.jobs.submit(request, reply, parent_id)
        self._queue.put(job)
        await self._show_places(newest=job)
        return job

    async def cancel(self, job: Job) -> bool:
        """Stop a job that waits or runs; False where it has ended already."""
        if self._queue.remove(job.id):
            self._delivery.deliver(await self.jobs.fail(job.id, "cancelled", "Cancelled."))
            await self._show_places()
            return True
        if job.id in self._running:
            await self._engine.cancel(job.id)
            return True
        return False

    async def resume(self) -> None:
        """Take up what the last run left: running jobs wait again, those that have ended are delivered."""
        await self._give_back(await self.jobs.in_state("running"), blame=True)
        for job in await self.jobs.in_state("queued"):
            if job.id not in self._queue:
                self._queue.put(job)
        for job in await self.jobs.undelivered():
            self._delivery.deliver(job)
        await self._show_places()

    async def run(self) -> None:
        """Run batch after batch until cancelled; what runs then goes back to the queue without blame."""
        while True:
            batch = await self._queue.next_batch()
            try:
                await self._run(batch)
            except EngineDied as error:
                log.error("%s; starting it again", error)
                await self._give_back([running.job for running in self._running.values()], blame=True)
                self._running.clear()
                await self._restart_engine()
            except asyncio.CancelledError:
                await self.jobs.requeue(list(self._running), blame=False)
                raise

    async def _run(self, batch: tuple[Job, ...]) -> None:
        self._running = {job.id: _Running(job) for job in batch}
        await self.jobs.start(self._running)
        for job in batch:
            self._delivery.show(job, cards.running(job, self._delivery.headline(job), None, None))
        await self._show_places()
        async for event in self._engine.run([job.request for job in batch]):
            await self._handle(event)

    async def _handle(self, event: Event) -> None:
        match event:
            case Ready():
                log.warning("the engine said Ready twice")
            case Progress() | Preview():
                running = self._running[event.job]
                if isinstance(event, Progress):
                    running.progress = event
                else:
                    running.preview = event.image
                self._delivery.show(
                    running.job,
                    cards.running(running.job, self._delivery.headline(running.job), running.progress, running.preview),
                )
            case Finished():
                job = await self.jobs.finish(event)
                del self._running[event.job]
                self._delivery.deliver(job)
            case Failed():
                log.info("job %s failed (%s): %s", event.job, event.kind, event.message)
                job = await self.jobs.fail(event.job, event.kind, event.message)
                del self._running[event.job]
                self._delivery.deliver(job)

    async def _give_back(self, jobs: list[Job], *, blame: bool) -> None:
        """Let interrupted jobs wait again; one that has ended the engine too often is set aside."""
        await self.jobs.requeue([job.id for job in jobs], blame=blame)
        for job in [await self.jobs.get(job.id) for job in jobs]:
            if job.attempts < MAX_ATTEMPTS:
                self._queue.put(job)
                continue
            sentence = (
                f"This job stopped the engine {job.attempts} times and was set aside:"
                " try a smaller size or fewer pictures, or tell whoever runs this bot."
            )
            self._delivery.deliver(await self.jobs.fail(job.id, "internal", sentence))

    async def _restart_engine(self) -> None:
        waits = iter(RESTART_AFTER_S)
        wait_s = next(waits)
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._engine.start()
                return
            except EngineDied as error:
                wait_s = next(waits, wait_s)
                log.error("%s; next try in %s s", error, wait_s)

    async def _show_places(self, newest: Job | None = None) -> None:
        """Bring the cards of the next jobs, and of the newest, up to date: their places and when they may be ready."""
        if not len(self._queue):
            return
        pace_s = await self._pace_s()
        ahead_s = sum(pace_s * _work(running.job.request) for running in self._running.values())
        for place, job in enumerate(self._queue.in_order(), start=1):
            ahead_s += pace_s * _work(job.request)
            if place > SHOWN_PLACES and (newest is None or job.id != newest.id):
                continue
            ready_at = self._clock() + ahead_s if pace_s else None
            self._delivery.show(job, cards.waiting(job, self._delivery.headline(job), place, ready_at))

    async def _pace_s(self) -> float:
        """Seconds for one unit of work, from the newest jobs; 0 as long as there are none."""
        newest = await self.jobs.durations_of_kind("imagine")
        work = sum(_work(request) for request, _ in newest)
        return sum(seconds for _, seconds in newest) / work if work else 0


class _Running:
    """A job in the engine's hands, and the newest that is known of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress: Progress | None = None
        self.preview: bytes | None = None


def _work(request: Request) -> int:
    """How much there is to do, in pixels times steps."""
    return request.width * request.height * request.steps * request.count
