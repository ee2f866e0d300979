"""How what a program asks for becomes a job, and whether that outlives the program's connection.

A picture that is given in the answer itself is wanted by whoever waits for that answer and by nobody else: without them
its job is cancelled, also where it was the bot that ended, since a client whose connection broke asks again by itself.
One that is given as an address is a job like any other: it goes on, survives a restart, and its member finds it in
their history.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress

from bot.admission import Admission, Prepare
from bot.background import Background
from bot.callers import Caller, End
from bot.database import insist
from bot.errors import MemberError
from bot.job import Job, Reply, State
from bot.jobs import Jobs
from bot.pictures.posted import Posted, Sent
from bot.requests.drafts import Build, draft
from inference.protocol import Input, logs

UNENDED: tuple[State, ...] = ("reading", "arriving", "queued", "running")
ENDED: tuple[State, ...] = ("finished", "failed", "cancelled")


async def hang_up(jobs: Jobs) -> None:
    """End what programs waited for when the bot ended, before any old job is taken up: their connections are gone."""
    for state in UNENDED:
        for job in await jobs.in_state(state):
            if not job.reply.lasts:
                await insist(f"the end of job {job.id}", jobs.cancel, job.id)


class Entrance:
    """Takes what programs ask for."""

    def __init__(self, admission: Admission, background: Background) -> None:
        self._admission = admission
        self._background = background

    @asynccontextmanager
    async def asked(
        self,
        reply: Reply,
        build: Build,
        pictures: Mapping[str, Sent],
        prepare: Prepare | None,
        desks: ExitStack,
    ) -> AsyncIterator[tuple[Job, Caller]]:
        """A job of what `build` makes of these pictures, for whose end is waited within: who leaves before it cancels
        it, unless it lasts. `desks` hold the pictures and are closed when these were read.

        Raises MemberError where it is not taken.
        """
        entering = asyncio.create_task(self._enter(reply, build, pictures, prepare, desks))
        try:
            # Where the program hangs up just now it is brought to an end all the same, of which the row is known.
            job = await asyncio.shield(entering)
        except asyncio.CancelledError:
            self._background.start(self._leave(entering))
            raise
        with self._admission.delivery.callers.waiting(job.id) as caller:
            try:
                with logs.about(job.id):
                    # It may have ended before anybody waited.
                    now = await self._admission.jobs.find(job.id)
                    if now is None or now.state in ENDED:
                        caller.tell(End(now))
                    yield job, caller
            finally:
                if not caller.has_ended and not reply.lasts:
                    self._background.start(self._admission.cancel(job))

    async def _enter(
        self,
        reply: Reply,
        build: Build,
        pictures: Mapping[str, Sent],
        prepare: Prepare | None,
        desks: ExitStack,
    ) -> Job:
        """The job, complete and written down, that holds its place no more but in the queue."""
        admission = self._admission
        with desks, admission.room.held(reply.member_id):
            request = draft({name: picture.unread for name, picture in pictures.items()}, build, admission.ready)
            job = await admission.write_down(reply, request, reading=bool(pictures))
            with logs.about(job.id):
                if not pictures:
                    known = await insist(f"job {job.id}", admission.jobs.acknowledge, job.id, None)
                else:
                    known = await self._read(job, pictures, build, prepare)
                if known is not None and known.state == "queued":
                    await admission.dispatcher.accept(known)
            return known or job

    async def _read(self, job: Job, pictures: Mapping[str, Sent], build: Build, prepare: Prepare | None) -> Job | None:
        given: dict[str, Posted | Sent | Input] = {**pictures}
        try:
            return await self._admission.read(job, given, build, prepare)
        except BaseException:
            # The program is told why by whoever asked; there never was a job.
            await insist(f"the end of job {job.id}", self._admission.jobs.delete, job.id)
            raise

    async def _leave(self, entering: asyncio.Task[Job]) -> None:
        """Nobody waits any more for what was on its way in."""
        with suppress(MemberError):
            job = await entering
            if not job.reply.lasts:
                await self._admission.cancel(job)
