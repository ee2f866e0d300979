"""From the queue through the engine to delivery: takes jobs in, runs them, and loses none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import discord

from bot import attachments, cards, delivery
from bot.attachments import Upload
from bot.delivery import Delivery
from bot.engine import Engine
from bot.errors import EngineDied, MemberError
from bot.jobs import MAX_ATTEMPTS, Job, Jobs, Reply
from bot.pictures import sha256_of
from bot.queue import Queue
from inference.protocol import Event, Failed, Finished, Input, Preview, Progress, Ready, Request

log = logging.getLogger(__name__)

SHOWN_PLACES = 5
"""How many of the next jobs are told each time that the queue moves: a hundred edits would use up Discord's limits."""

SOME_PICTURE = Input("", 64, 64)

RESTART_AFTER_S = (1.0, 5.0, 30.0)
"""Waits before the engine is started again; the last one repeats."""


class Dispatcher:
    """The one place through which every job goes. `run` it for as long as the bot lives."""

    def __init__(
        self,
        jobs: Jobs,
        queue: Queue,
        quick_queue: Queue,
        engine: Engine,
        delivery: Delivery,
        *,
        max_waiting: int,
        max_waiting_per_member: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Quick tasks wait in a queue of their own: the engine runs them between the steps of what is slow."""
        self.jobs = jobs
        self._queues = (queue, quick_queue)
        self._engine = engine
        self._delivery = delivery
        self._max_waiting = max_waiting
        self._max_waiting_per_member = max_waiting_per_member
        self._clock = clock
        self._running: dict[int, _Running] = {}
        self._engine_starts = 0
        self._restarting = asyncio.Lock()

    @property
    def ready(self) -> Ready:
        """What the engine can do."""
        return self._engine.ready

    async def submit(self, interaction: discord.Interaction, request: Request, parent_id: int | None = None) -> Job:
        """Accept a request whose inputs are kept: from here on it is answered in a reply of its own.

        Raises MemberError instead where too many wait already.
        """
        self._check_room(interaction)
        return await self._accept(request, await delivery.acknowledge(interaction), parent_id)

    async def submit_uploads(
        self,
        interaction: discord.Interaction,
        uploads: Mapping[str, discord.Attachment],
        settle: Callable[..., Request],
        prepare: Callable[..., Mapping[str, Upload]] | None = None,
    ) -> Job:
        """Accept a request on uploads, which are fetched and read first; `settle` makes it of them, by their names.

        `prepare`, in a thread, makes the pictures that are worked on of those that were uploaded, by names as well.
        Raises MemberError instead where an upload cannot be read, or too many wait already.
        """
        self._check_room(interaction)
        # What is wrong whatever the pictures are gets said at once.
        settle(**dict.fromkeys(uploads, SOME_PICTURE))
        # Fetching may take longer than the three seconds that Discord waits.
        reply = await delivery.acknowledge(interaction)
        try:
            read: Mapping[str, Upload] = {name: await attachments.read(upload) for name, upload in uploads.items()}
            if prepare is not None:
                read = await asyncio.to_thread(prepare, **read)
            request = settle(
                **{name: Input(sha256_of(upload.png), upload.width, upload.height) for name, upload in read.items()}
            )
        except MemberError:
            await delivery.withdraw(interaction)
            raise
        return await self._accept(request, reply, files=[upload.png for upload in read.values()])

    async def cancel(self, job: Job) -> bool:
        """Stop a job that waits or runs; False where it has ended already."""
        if self._queue_of(job).remove(job.id):
            self._delivery.deliver(await self.jobs.fail(job.id, "cancelled", "Cancelled."))
            await self._show_places(self._queue_of(job))
            return True
        if job.id in self._running:
            await self._engine.cancel(job.id)
            return True
        return False

    async def resume(self) -> None:
        """Take up what the last run left: running jobs wait again, those that have ended are delivered."""
        await self._give_back(await self.jobs.in_state("running"), blame=True)
        for job in await self.jobs.in_state("queued"):
            queue = self._queue_of(job)
            if job.id not in queue:
                queue.put(job)
        for job in await self.jobs.undelivered():
            self._delivery.deliver(job)
        for queue in self._queues:
            await self._show_places(queue)

    async def run(self) -> None:
        """Run batch after batch until cancelled; what runs then goes back to the queue without blame."""
        async with asyncio.TaskGroup() as lanes:
            for queue in self._queues:
                lanes.create_task(self._work_off(queue))

    def _check_room(self, interaction: discord.Interaction) -> None:
        if sum(queue.count_of(interaction.user.id) for queue in self._queues) >= self._max_waiting_per_member:
            raise MemberError(
                f"You have {self._max_waiting_per_member} jobs waiting, which is the most for one member:"
                " wait for one to start, or cancel one."
            )
        if (waiting := sum(len(queue) for queue in self._queues)) >= self._max_waiting:
            raise MemberError(f"{waiting} jobs are waiting already: try again in a few minutes.")

    async def _accept(
        self, request: Request, reply: Reply, parent_id: int | None = None, files: Sequence[bytes] = ()
    ) -> Job:
        job = await self.jobs.submit(request, reply, parent_id, files)
        queue = self._queue_of(job)
        queue.put(job)
        await self._show_places(queue, newest=job)
        return job

    def _queue_of(self, job: Job) -> Queue:
        # A job that has ended the engine once runs alone, after the slow ones: its neighbours would be blamed with it.
        return self._queues[1 if job.request.quick and not job.attempts else 0]

    async def _work_off(self, queue: Queue) -> None:
        """Run one queue's batches for ever."""
        while True:
            batch = await queue.next_batch()
            starts = self._engine_starts
            try:
                await self._run(batch, queue)
            except EngineDied as error:
                log.error("%s; starting it again", error)
                await self._give_back(self._let_go(batch), blame=True)
                await self._restart_engine(starts)
            except asyncio.CancelledError:
                await self.jobs.requeue([job.id for job in self._let_go(batch)], blame=False)
                raise

    def _let_go(self, batch: tuple[Job, ...]) -> list[Job]:
        """The batch's jobs that have not ended; they run no more."""
        return [self._running.pop(job.id).job for job in batch if job.id in self._running]

    async def _run(self, batch: tuple[Job, ...], queue: Queue) -> None:
        self._running |= {job.id: _Running(job) for job in batch}
        await self.jobs.start([job.id for job in batch])
        for job in batch:
            self._delivery.show(job, cards.running(job, self._delivery.headline(job), None, None))
        await self._show_places(queue)
        files: dict[str, bytes] = {}
        sound = []
        for job in batch:
            try:
                files |= await self.jobs.input_bytes(job.request)
                sound.append(job.request)
            except FileNotFoundError:
                await self._handle(
                    Failed(job.id, "invalid_input", "The picture was removed from disk: upload it again.")
                )
        async for event in self._engine.run(sound, files):
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
                self._queue_of(job).put(job)
                continue
            sentence = (
                f"This job stopped the engine {job.attempts} times and was set aside:"
                " try a smaller picture or fewer of them, or tell whoever runs this bot."
            )
            self._delivery.deliver(await self.jobs.fail(job.id, "internal", sentence))

    async def _restart_engine(self, starts: int) -> None:
        """Start the engine again, unless that was done since it had been started this often."""
        async with self._restarting:
            if self._engine_starts != starts:
                return
            waits = iter(RESTART_AFTER_S)
            wait_s = next(waits)
            while True:
                await asyncio.sleep(wait_s)
                try:
                    await self._engine.start()
                    self._engine_starts += 1
                    return
                except EngineDied as error:
                    wait_s = next(waits, wait_s)
                    log.error("%s; next try in %s s", error, wait_s)

    async def _show_places(self, queue: Queue, newest: Job | None = None) -> None:
        """Bring the cards of the next jobs, and of the newest, up to date: their places and when they may be ready."""
        if not len(queue):
            return
        ahead = [running.job for running in self._running.values() if self._queue_of(running.job) is queue]
        waiting = queue.in_order()
        pace_s = await self._pace_s({job.request.kind for job in (*ahead, *waiting)})
        known = all(pace_s[job.request.kind] for job in ahead)
        ahead_s = sum(_seconds(job, pace_s) for job in ahead)
        for place, job in enumerate(waiting, start=1):
            ahead_s += _seconds(job, pace_s)
            known = known and bool(pace_s[job.request.kind])
            if place > SHOWN_PLACES and (newest is None or job.id != newest.id):
                continue
            ready_at = self._clock() + ahead_s if known else None
            self._delivery.show(job, cards.waiting(job, self._delivery.headline(job), place, ready_at))

    async def _pace_s(self, kinds: Iterable[str]) -> dict[str, float]:
        """Seconds for one unit of each kind's work, from its newest jobs; 0 as long as there are none."""
        pace_s = {}
        for kind in kinds:
            newest = await self.jobs.durations_of_kind(kind)
            work = sum(request.work for request, _ in newest)
            pace_s[kind] = sum(seconds for _, seconds in newest) / work if work else 0.0
        return pace_s


class _Running:
    """A job in the engine's hands, and the newest that is known of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress: Progress | None = None
        self.preview: bytes | None = None


def _seconds(job: Job, pace_s: dict[str, float]) -> float:
    """How long a job will take, as far as its kind's pace tells."""
    return pace_s[job.request.kind] * job.request.work
