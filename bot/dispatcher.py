"""From the queue through the engine to delivery: runs what was accepted, and loses none of it.

What becomes a job is `admission`'s affair; how an end reaches its member is `delivery`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import get_args

from msgspec.structs import replace

from bot import cards, words
from bot.answered import likeness
from bot.checking import Checking
from bot.database import insist
from bot.delivery import Delivery
from bot.endings import Endings
from bot.engine.interface import Engine, Lane
from bot.errors import EngineDied, OperatorError, Starting
from bot.job import Job
from bot.jobs import MAX_ATTEMPTS, Jobs
from bot.lines import Line, Standing
from bot.observer import Observer
from bot.pace import Pace
from bot.policies.kept import Policies
from bot.runs import Run
from bot.waits import outlast
from bot.words import N_
from inference.protocol import Event, Failed, Finished, Preview, Progress, Ready, Request, because, logs

log = logging.getLogger(__name__)

BROKE = N_("Something went wrong inside Easel: try again in a moment.")

REST_S = 1.0
"""After an error that nobody foresaw, so that it cannot repeat a thousand times a second."""


OUTLAST_S = 30.0
"""How long what another server paints is waited for where the bot is to stop."""


class Dispatcher:
    """The lines in which every job waits and runs: one before all lanes for what is quick, one before all others.

    `resume` once, then `run` for as long as the bot lives.
    """

    def __init__(
        self,
        jobs: Jobs,
        engine: Engine,
        delivery: Delivery,
        served: Mapping[int, float] | None = None,
        clock: Callable[[], float] = time.time,
        policies: Policies | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`served` tells when each member's last job was started; `policies` what is allowed when a turn has come."""
        self._jobs = jobs
        self._engine = engine
        self._delivery = delivery
        self._policies = policies
        self._observer = observer or Observer()
        self._pace = Pace()
        given = (delivery, self._pace, served or {}, clock, engine)
        self._slow, self._quick = (Line(*given, quick=quick) for quick in (False, True))
        self.lines = (self._slow, self._quick)
        self._checking = Checking(engine, jobs.pictures)
        self._endings = Endings(jobs, engine, delivery, self._pace, policies, self._observer, self._checking)
        self.turned = self._slow.turned
        """Wait until `absence` may be another than when this returned last. For one who waits."""

    @property
    def ready(self) -> Ready:
        """What the engine can do. Raises Starting where nobody can tell yet."""
        return self._engine.ready

    @property
    def absence(self) -> cards.Absence | None:
        """Why nothing runs just now; None where there is an engine."""
        return self._slow.absence

    def waiting(self, member_id: int | None = None) -> int:
        """How many jobs wait: of this member, or in all."""
        return sum(len(line.queue) if member_id is None else line.queue.count_of(member_id) for line in self.lines)

    async def accept(self, job: Job) -> None:
        """Let a new job wait for its turn, or answer it with what was made before, where that would be the same."""
        same = None
        with suppress(Starting):
            same = likeness(self._settled(job), self.ready)
        now = job if same is None else await insist(f"the answer of job {job.id}", self._jobs.answer, job, same)
        # It may have been cancelled or deleted meanwhile.
        if now is not None and now.state == "finished":
            self._observer.made_before(now)
            self._delivery.deliver(now)
        elif now is not None and now.state == "queued":
            self.put(now)

    def put(self, job: Job) -> None:
        """Let a queued job wait for its turn."""
        self._observer.accepted(job)
        self._line_for(job).put(job)

    def bring(self, ended: Job) -> None:
        """Bring the end of a job to its member, now that it is written down. Returns at once."""
        self._endings.bring(ended)

    def card(self, job: Job) -> cards.Card:
        """How a job looks that is about to wait: with the place that it will have."""
        return self._line_for(job).card(job)

    def standing(self, job_id: int) -> Standing | None:
        """Where a job stands that waits or runs; None where it does neither."""
        return next((found for line in self.lines if (found := line.standing(job_id)) is not None), None)

    async def cancel(self, job: Job) -> bool:
        """Stop a job that has not ended; False where it has. Once this returns, the job ends as cancelled."""
        self._take_out(job.id)
        if (cancelled := await insist(f"the cancellation of job {job.id}", self._jobs.cancel, job.id)) is None:
            return False
        # It may have come into its queue meanwhile.
        self._take_out(job.id)
        if cancelled.state == "cancelled":
            self.bring(cancelled)
        await self._engine.cancel(job.id)
        return True

    async def delete(self, job: Job, by: int | None = None) -> None:
        """Stop a job and forget it and its pictures. One that is gone already is no error. `by` is who wants that."""
        self._take_out(job.id)
        self._delivery.forget(job.id)
        await insist(f"the deletion of job {job.id}", self._jobs.delete, job.id, by)
        # It may have come into its queue meanwhile, and been shown from there.
        self._take_out(job.id)
        self._delivery.forget(job.id)
        self._observer.forgotten(job.id)
        await self._engine.cancel(job.id)

    async def resume(self) -> None:
        """Take up what the last run left: running jobs wait again, those that have ended are delivered."""
        left = [job.id for job in await self._jobs.in_state("running")]
        # Somebody may hold the database at this moment; that is no reason not to start.
        await insist(f"that {len(left)} jobs wait again", self._jobs.requeue, left)
        for job in await self._jobs.in_state("queued"):
            self.put(job)
        for kind in get_args(Request):
            for request, seconds, share in reversed(
                await self._jobs.counting.durations_of_kind(kind.__struct_config__.tag)
            ):
                self._pace.add(request, seconds, share)
        for job in await self._jobs.undelivered():
            self._delivery.deliver(job)

    async def run(self) -> None:
        """Run batch after batch until cancelled; what runs then goes back to the queue. Raises OperatorError."""
        async with asyncio.TaskGroup() as tasks:
            for line in self.lines:
                tasks.create_task(line.show_places())
            tasks.create_task(self._use_lanes(tasks))

    async def _use_lanes(self, tasks: asyncio.TaskGroup) -> None:
        """Let every lane that there is, or comes, work its line off."""
        used: Sequence[Lane] = ()
        while True:
            lanes = self._engine.lanes
            for lane in (lane for lane in lanes if lane not in used):
                line = self._quick if lane.quick else self._slow
                tasks.create_task(line.watch(lane))
                tasks.create_task(self._work_off(line, lane, tasks))
            used = lanes
            await self._engine.lanes_changed()

    def _line_for(self, job: Job) -> Line:
        """Where a job waits. One that has ended the engine once runs alone: its neighbours would be blamed with it."""
        return self._quick if job.request.quick and not job.attempts else self._slow

    def _take_out(self, job_id: int) -> None:
        """Let a job have no turn, wherever it stands."""
        for line in self.lines:
            line.take_out(job_id)

    async def _work_off(self, line: Line, lane: Lane, tasks: asyncio.TaskGroup) -> None:
        """Send one batch of the line after the other through this lane, until it is gone for good.

        The next goes when the one before needs the device no more, while its results are encoded and written down: at
        most one batch is ahead of the device, so that newcomers find the turn after it free. What comes until a pass
        begins joins that, where it has places. Who has ended the engine once is there alone.
        """
        before: Run | None = None
        while batch := await line.next_batch(lane):
            run = Run(batch, lane.capacity(batch[0].request))
            tasks.create_task(self._see_through(batch, run, before, line, lane))
            while riders := await line.next_riders(run):
                run.add(riders)
                tasks.create_task(self._see_through(riders, run, None, line, lane))
            self._observer.departed(run.jobs)
            await (run.ended if run.is_alone else run.nearly_done).wait()
            if before is not None:
                await before.ended.wait()
            before = run

    async def _see_through(self, batch: tuple[Job, ...], run: Run, before: Run | None, line: Line, lane: Lane) -> None:
        """Run a batch, or riders of one, to the end of each job, whatever happens. Call it as a task of its own."""
        logs.turn_to(*(job.id for job in batch))
        try:
            if before is not None and run.is_alone:
                await before.ended.wait()
            async with lane.turn():
                running = self._run(batch, run, line, lane)
                await (outlast(running, partial(_is_sent, batch, line), OUTLAST_S) if lane.paid else running)
        except EngineDied as error:
            await self._give_back(batch, line, error)
        except asyncio.CancelledError:
            # Whatever the database says to this, running jobs wait again after the next start.
            await self._jobs.requeue([job.id for job in line.still_running(batch)])
            raise
        except OperatorError:
            raise
        except Exception:
            log.exception("something broke while they ran")
            for job in line.still_running(batch):
                await self._engine.cancel(job.id)
                await self._endings.fail(Failed(job.id, "internal", because(BROKE)), line)
            await asyncio.sleep(REST_S)
        finally:
            run.end_part()

    async def _run(self, batch: tuple[Job, ...], run: Run, line: Line, lane: Lane) -> None:
        for job in batch:
            await self._refuse(job, line)
        for job in line.still_running(batch):
            await self._look_at(job, line)
        batch = tuple(line.still_running(batch))
        started = await insist(f"the start of {len(batch)} jobs", self._jobs.start, [job.id for job in batch])
        line.began(batch, started)
        for job in line.still_running(batch):
            if line.running[job.id].cancelled:
                await self._endings.fail(Failed(job.id, "cancelled", because("cancelled")), line)
        # From here to the sending nothing is awaited: what is cancelled later is cancelled by the engine.
        wanted = [self._settle(job, line) for job in line.still_running(batch) if not line.running[job.id].cancelled]
        if wanted:
            line.share(run.jobs)
            for request in wanted:
                line.show(request.job)
            async with aclosing(lane.run(wanted)) as events:
                async for event in events:
                    run.note(event)
                    await self._handle(event, line)
        # What was cancelled in between and therefore not sent.
        for job in line.still_running(batch):
            await self._endings.fail(Failed(job.id, "cancelled", because("cancelled")), line)

    def _settle(self, job: Job, line: Line) -> Request:
        """The request as it is sent: with what becomes of flagged pictures, as that is set when its turn has come."""
        line.running[job.id].request = self._settled(job)
        return line.running[job.id].request

    def _settled(self, job: Job) -> Request:
        safety = "block" if self._policies is None else self._policies.safety_of(job)
        return replace(job.request, safety=safety)

    async def _refuse(self, job: Job, line: Line) -> None:
        """End a job that is not allowed any more: what was set while it waited holds for it."""
        if self._policies is None:
            return
        if (reason := await insist(f"whether job {job.id} is allowed", self._policies.problem_of, job)) is not None:
            log.info("it is not allowed any more: %s", words.why_logged(reason), extra=logs.of(job.id))
            await self._endings.fail(Failed(job.id, "invalid_input", reason), line)

    async def _look_at(self, job: Job, line: Line) -> None:
        """End a job whose pictures no other server may be shown."""
        found = await self._checking.before(self._settled(job))
        if isinstance(found, Failed):
            await self._endings.fail(found, line)
        elif (running := line.running.get(job.id)) is not None:
            running.hidden = found

    async def _handle(self, event: Event, line: Line) -> None:
        match event:
            case Progress() | Preview():
                line.note(event)
                self._observer.got_on(event)
            case Finished():
                await self._endings.finish(event, line)
            case Failed():
                log.info("failed (%s): %s", event.kind, words.why_logged(event.reason), extra=logs.of(event.job))
                await self._endings.fail(event, line)

    async def _give_back(self, batch: tuple[Job, ...], line: Line, death: EngineDied) -> None:
        """Let a dead engine's jobs wait again. One that it was working on is blamed, and set aside the second time."""
        back = [job.id for job in line.still_running(batch)]
        await insist(f"that {len(back)} jobs wait again", self._jobs.requeue, back, death.at_work)
        for job in await insist(f"that {len(back)} jobs wait again", self._jobs.all_of, back):
            running = line.running.pop(job.id)
            if job.state == "cancelled":
                self.bring(job)
            elif running.cancelled:
                # Somebody is writing that down at this moment, and delivers it then.
                continue
            elif job.attempts >= MAX_ATTEMPTS:
                log.error("it ended the engine %d times and is set aside", job.attempts, extra=logs.of(job.id))
                await self._endings.fail(Failed(job.id, "internal", because("set_aside", times=job.attempts)), line)
            else:
                self.put(job)
        for job_id in back:
            line.running.pop(job_id, None)


def _is_sent(batch: Sequence[Job], line: Line) -> bool:
    """Whether any of these jobs is at work where it may be paid."""
    return any(line.running[job.id].progress is not None for job in line.still_running(batch))
