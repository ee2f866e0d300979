"""From the queue through the engine to delivery: runs what was accepted, and loses none of it.

What becomes a job is `admission`'s affair; how an end reaches its member is `delivery`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import get_args

from bot import cards
from bot.database import insist
from bot.delivery import Delivery
from bot.engine import Engine
from bot.errors import EngineDied, OperatorError
from bot.job import Job
from bot.jobs import MAX_ATTEMPTS, Jobs
from bot.pace import Pace
from bot.queue import Queue
from bot.waits import growing
from inference.protocol import Event, Failed, Finished, Preview, Progress, Ready, Request

log = logging.getLogger(__name__)

SHOWN_PLACES = 5
"""How many of the next jobs are told when the queue moves: a hundred edits would use up Discord's limits."""

SHOW_EVERY_S = 1.0
"""So often at most."""

RESTART_AFTER_S = (1.0, 5.0, 30.0)
"""Waits before the engine is started again; the last one repeats."""

REST_S = 1.0
"""After an error that nobody foresaw, so that it cannot repeat a thousand times a second."""


class Dispatcher:
    """The lanes through which every job goes. `resume` once, then `run` for as long as the bot lives."""

    def __init__(
        self,
        jobs: Jobs,
        queue: Queue,
        quick_queue: Queue,
        engine: Engine,
        delivery: Delivery,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Quick tasks wait in a queue of their own: the engine runs them between the steps of what is slow."""
        self._jobs = jobs
        self._queues = (queue, quick_queue)
        self._engine = engine
        self._delivery = delivery
        self._clock = clock
        self._pace = Pace()
        self._running: dict[int, _Running] = {}
        self._moved = tuple(asyncio.Event() for _ in self._queues)
        self._restarting = False

    @property
    def ready(self) -> Ready:
        """What the engine can do."""
        return self._engine.ready

    def waiting(self, member_id: int | None = None) -> int:
        """How many jobs wait: of this member, or in all."""
        return sum(len(queue) if member_id is None else queue.count_of(member_id) for queue in self._queues)

    def put(self, job: Job) -> None:
        """Let a queued job wait for its turn."""
        self._queue_of(job).put(job)
        self._moved[self._lane_of(job)].set()

    def card(self, job: Job) -> cards.Card:
        """How a job looks that is about to wait: with the place that it will have."""
        queue, headline = self._queue_of(job), self._delivery.headline(job)
        if self._restarting:
            return cards.restarting(job, headline)
        place = queue.next_place(job.reply.member_id)
        ahead_s = self._pace.seconds(queue.work)
        own_s = self._pace.seconds_of([job.request])
        running_s = self._pace.seconds_of(self._running_in(queue))
        if ahead_s is None or own_s is None or running_s is None:
            return cards.waiting(job, headline, place, None)
        # The others are all alike for this: one sum over each of thousands would cost more than it tells.
        ahead_s *= (place - 1) / max(len(queue), 1)
        return cards.waiting(job, headline, place, self._clock() + running_s + ahead_s + own_s)

    async def cancel(self, job: Job) -> bool:
        """Stop a job that has not ended; False where it has. Once this returns, the job ends as cancelled."""
        self._take_out(job.id)
        cancelled = await insist(f"the cancellation of job {job.id}", self._jobs.cancel, job.id)
        if cancelled is None:
            return False
        # It may have come into its queue meanwhile.
        self._take_out(job.id)
        if cancelled.state == "cancelled":
            self._delivery.deliver(cancelled)
        await self._engine.cancel(job.id)
        return True

    async def delete(self, job: Job) -> None:
        """Stop a job and forget it and its pictures. One that is gone already is no error."""
        self._take_out(job.id)
        self._delivery.forget(job.id)
        await insist(f"the deletion of job {job.id}", self._jobs.delete, job.id)
        # It may have come into its queue meanwhile, and been shown from there.
        self._take_out(job.id)
        self._delivery.forget(job.id)
        await self._engine.cancel(job.id)

    async def resume(self) -> None:
        """Take up what the last run left: running jobs wait again, those that have ended are delivered."""
        await self._jobs.requeue([job.id for job in await self._jobs.in_state("running")])
        for job in await self._jobs.in_state("queued"):
            self.put(job)
        for kind in get_args(Request):
            for request, seconds in reversed(await self._jobs.durations_of_kind(kind.__struct_config__.tag)):
                self._pace.add(request, seconds)
        for job in await self._jobs.undelivered():
            self._delivery.deliver(job)

    async def run(self) -> None:
        """Run batch after batch until cancelled; what runs then goes back to the queue. Raises OperatorError."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_engine())
            for queue, moved in zip(self._queues, self._moved, strict=True):
                tasks.create_task(self._work_off(queue))
                tasks.create_task(self._show_places(queue, moved))

    def _take_out(self, job_id: int) -> None:
        """Let a job have no turn: out of its queue, or out of the hands that are about to send it."""
        for queue in self._queues:
            queue.remove(job_id)
        if (running := self._running.get(job_id)) is not None:
            running.cancelled = True

    def _lane_of(self, job: Job) -> int:
        # A job that has ended the engine once runs alone, after the slow ones: its neighbours would be blamed with it.
        return 1 if job.request.quick and not job.attempts else 0

    def _queue_of(self, job: Job) -> Queue:
        return self._queues[self._lane_of(job)]

    async def _keep_engine(self) -> None:
        """Start the engine again whenever it has died, be it at work or idle."""
        while True:
            log.error("%s; starting it again", await self._engine.ended())
            self._restarting = True
            for moved in self._moved:
                moved.set()
            await self._start_engine()
            self._restarting = False
            for moved in self._moved:
                moved.set()

    async def _start_engine(self) -> None:
        waits = growing(RESTART_AFTER_S)
        wait_s = next(waits)
        while True:
            await asyncio.sleep(wait_s)
            try:
                return await self._engine.start()
            except EngineDied as error:
                wait_s = next(waits)
                log.error("%s; next try in %s s", error, wait_s)

    async def _work_off(self, queue: Queue) -> None:
        """Run one queue's batches for ever."""
        while True:
            await self._engine.up()
            batch = await queue.next_batch()
            self._running |= {job.id: _Running(job) for job in batch}
            try:
                await self._run(batch, queue)
            except EngineDied as error:
                await self._give_back(batch, error)
            except asyncio.CancelledError:
                # Whatever the database says to this, running jobs wait again after the next start.
                await self._jobs.requeue([job.id for job in self._still_running(batch)])
                raise
            except OperatorError:
                raise
            except Exception:
                log.exception("jobs %s failed", [job.id for job in batch])
                for job in self._still_running(batch):
                    await self._engine.cancel(job.id)
                    await self._end(
                        Failed(job.id, "internal", "Something went wrong inside Easel: try again in a moment.")
                    )
                await asyncio.sleep(REST_S)

    def _still_running(self, batch: tuple[Job, ...]) -> list[Job]:
        """The batch's jobs that have not ended."""
        return [job for job in batch if job.id in self._running]

    async def _run(self, batch: tuple[Job, ...], queue: Queue) -> None:
        await insist(f"the start of {len(batch)} jobs", self._jobs.start, [job.id for job in batch])
        self._moved[self._queues.index(queue)].set()
        for job in batch:
            if self._running[job.id].cancelled:
                await self._end(Failed(job.id, "cancelled", "Cancelled."))
            else:
                self._delivery.show(job, self._running[job.id].card)
        # From here to the sending nothing is awaited: what is cancelled later is cancelled by the engine.
        wanted = [job.request for job in self._still_running(batch)]
        if wanted:
            async with aclosing(self._engine.run(wanted)) as events:
                async for event in events:
                    await self._handle(event)
        # What was cancelled in between and therefore not sent.
        for job in self._still_running(batch):
            await self._end(Failed(job.id, "cancelled", "Cancelled."))

    async def _handle(self, event: Event) -> None:
        match event:
            case Progress() | Preview():
                running = self._running[event.job]
                if isinstance(event, Progress):
                    running.progress = event
                else:
                    running.preview = event.image
                if not running.cancelled:
                    self._delivery.show(running.job, running.card)
            case Finished() if not self._running[event.job].cancelled:
                await self._finish(event)
            case Finished():
                # Cancel was said, so it holds, whoever was quicker.
                await self._jobs.discard(event)
                await self._end(Failed(event.job, "cancelled", "Cancelled."))
            case Failed():
                log.info("job %s failed (%s): %s", event.job, event.kind, event.message)
                await self._end(event)

    async def _finish(self, event: Finished) -> None:
        try:
            job = await insist(f"the result of job {event.job}", self._jobs.finish, event)
        except FileNotFoundError as error:
            log.error("job %s: its result %s was removed by somebody", event.job, error.filename)
            return await self._end(Failed(event.job, "internal", "The result got lost on its way: try again."))
        if job is None:
            # While its pictures were taken over it was cancelled, or deleted: then there is nothing to end.
            return await self._end(Failed(event.job, "cancelled", "Cancelled."))
        del self._running[event.job]
        self._pace.add(job.request, event.seconds)
        return self._delivery.deliver(job)

    async def _end(self, event: Failed) -> None:
        """Write down that a job ended badly, and bring it to its member."""
        job = await insist(f"the end of job {event.job}", self._jobs.fail, event.job, event.kind, event.message)
        self._running.pop(event.job, None)
        if job is not None:
            self._delivery.deliver(job)

    async def _give_back(self, batch: tuple[Job, ...], death: EngineDied) -> None:
        """Let a dead engine's jobs wait again. One that it was working on is blamed, and set aside the second time."""
        back = [job.id for job in self._still_running(batch)]
        await insist(f"that {len(back)} jobs wait again", self._jobs.requeue, back, death.at_work)
        for job in await insist(f"that {len(back)} jobs wait again", self._jobs.all_of, back):
            running = self._running.pop(job.id)
            if job.state == "cancelled":
                self._delivery.deliver(job)
            elif running.cancelled:
                # Somebody is writing that down at this moment, and delivers it then.
                continue
            elif job.attempts >= MAX_ATTEMPTS:
                log.error("job %s ended the engine %d times and is set aside", job.id, job.attempts)
                sentence = (
                    f"This job stopped the engine {job.attempts} times and was set aside:"
                    " try a smaller picture or fewer of them, or tell whoever runs this bot."
                )
                await self._end(Failed(job.id, "internal", sentence))
            else:
                self.put(job)
        for job_id in back:
            self._running.pop(job_id, None)

    async def _show_places(self, queue: Queue, moved: asyncio.Event) -> None:
        """Bring the cards of the next jobs up to date whenever the queue has moved: places, and when they are ready."""
        while True:
            await moved.wait()
            moved.clear()
            self._show_next(queue)
            await asyncio.sleep(SHOW_EVERY_S)

    def _show_next(self, queue: Queue) -> None:
        ahead = self._running_in(queue)
        for place, job in zip(range(1, SHOWN_PLACES + 1), queue.in_order(), strict=False):
            if self._restarting:
                self._delivery.show(job, partial(cards.restarting, job))
                continue
            ahead.append(job.request)
            seconds = self._pace.seconds_of(ahead)
            ready_at = None if seconds is None else self._clock() + seconds
            self._delivery.show(job, partial(cards.waiting, job, place=place, ready_at=ready_at))

    def _running_in(self, queue: Queue) -> list[Request]:
        return [running.job.request for running in self._running.values() if self._queue_of(running.job) is queue]


class _Running:
    """A job in the engine's hands, and the newest that is known of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress: Progress | None = None
        self.preview: bytes | None = None
        self.cancelled = False

    def card(self, headline: str) -> cards.Card:
        """How it looks now."""
        return cards.running(self.job, headline, self.progress, self.preview)
