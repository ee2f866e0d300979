"""The ends of jobs that were in an engine's hands: written down, and brought to their members."""

from __future__ import annotations

import logging
from contextlib import suppress

from bot import exchanged
from bot.answered import likeness_of
from bot.checking import Checking
from bot.database import insist
from bot.delivery import Delivery
from bot.engine.interface import Engine
from bot.job import Job
from bot.jobs import Jobs
from bot.lines import Line
from bot.observer import Observer
from bot.pace import Pace
from bot.policies.kept import Policies
from bot.words import N_
from inference.protocol import Failed, Finished, because, logs

log = logging.getLogger(__name__)

LOST = N_("The result got lost on its way: try again.")


class Endings:
    """Takes up what an engine says of a job at last."""

    def __init__(
        self,
        jobs: Jobs,
        engine: Engine,
        delivery: Delivery,
        pace: Pace,
        policies: Policies | None,
        observer: Observer,
        checking: Checking,
    ) -> None:
        """`policies` say what may be shown of words that were drawn while it was painted; `pace` learns from all;
        `checking` looks at what other servers paint."""
        self._jobs = jobs
        self._engine = engine
        self._delivery = delivery
        self._pace = pace
        self._policies = policies
        self._observer = observer
        self._checking = checking

    def bring(self, ended: Job) -> None:
        """Bring the end of a job to its member, now that it is written down. Returns at once."""
        self._observer.ended(ended)
        self._delivery.deliver(ended)

    async def finish(self, made: Finished, line: Line) -> None:
        """Write down what came of a job, and bring it to its member; its bad end, where it may not be shown."""
        if await self._withhold(made, line) or (event := await self._checked(made, line)) is None:
            return None
        share, request = line.running[event.job].share, line.running[event.job].request
        try:
            same = likeness_of(event, request, self._engine.ready)
            result = await insist(f"what job {event.job} comes from", exchanged.told, self._jobs, event, request)
            job = await insist(f"the result of job {event.job}", self._jobs.finish, result, share, same)
        except FileNotFoundError as error:
            log.error("its result %s was removed by somebody", error.filename, extra=logs.of(event.job))
            return await self.fail(Failed(event.job, "internal", because(LOST)), line)
        if job is None:
            # It was cancelled before, whoever was quicker, or deleted: then there is nothing to end.
            return await self.fail(Failed(event.job, "cancelled", because("cancelled")), line)
        del line.running[event.job]
        self._pace.add(job.request, event.seconds, share)
        return self.bring(job)

    async def fail(self, event: Failed, line: Line, made: Finished | None = None) -> None:
        """Write down that a job ended badly, whatever it `made` all the same, and bring it to its member."""
        job = await insist(f"the end of job {event.job}", self._jobs.fail, event.job, event.kind, event.reason)
        if made is not None:
            # It has ended, so its pictures are dropped.
            with suppress(FileNotFoundError):
                await insist(f"that job {event.job} shows nothing", self._jobs.finish, made)
        line.running.pop(event.job, None)
        if job is not None:
            self.bring(job)

    async def _checked(self, made: Finished, line: Line) -> Finished | None:
        """What another server has painted, as it may be seen; None where it may not, and the job has ended so."""
        running = line.running[made.job]
        try:
            found = await self._checking.after(running.request, made, hidden=running.hidden)
        except OSError as error:
            log.error("what was painted cannot be checked: %s", error, extra=logs.of(made.job))
            found = Failed(made.job, "internal", because("not_checked"))
        if isinstance(found, Finished):
            return found
        await self.fail(found, line, made)
        return None

    async def _withhold(self, event: Finished, line: Line) -> bool:
        """Show nothing that was painted from words that are not allowed: what wildcards draw is known only now."""
        if self._policies is None or not event.answer.drawn:
            return False
        job, drawn = line.running[event.job].job, event.answer.drawn
        reason = await insist(f"the words of job {job.id}", self._policies.problem_of_drawn, job, drawn)
        if reason is not None:
            await self.fail(Failed(job.id, "unsafe", reason), line, event)
        return reason is not None
