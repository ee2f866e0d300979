"""What members ask for, and how it becomes a job: may they, is there room, the row, the word to them, their uploads.

The row comes first: whatever a member was told survives from the moment that they were told it. How a job lives from
then on is `dispatcher`'s affair.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol, cast
from weakref import WeakValueDictionary

import discord

from bot import cards, costs
from bot.access import Access
from bot.background import Background
from bot.credentials.giving import Credentials
from bot.database import UNWRITTEN, insist, refuse_fatal
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.erasure import Erasure
from bot.errors import MemberError
from bot.incoming import Incoming
from bot.job import Job, Reply
from bot.jobs import Jobs
from bot.observer import Observer
from bot.pictures import decoding
from bot.pictures.posted import Cdn, Posted, Seen, Sent
from bot.pictures.workers import Workshop
from bot.policies.kept import Policies
from bot.posting import ALREADY_ACKNOWLEDGED, UNREACHED, Posting, Unknown, reply_of
from bot.requests import require_possible
from bot.requests.drafts import Build, draft
from bot.room import Room
from bot.speaking import tell
from bot.till import Till
from bot.waits import growing
from bot.words import N_, why
from inference.protocol import FailureKind, Input, Ready, Reason, Request, because, logs

log = logging.getLogger(__name__)

WRITTEN_WITHIN_S = 1.5
"""Discord waits three seconds for the first word; what cannot be written down by then is refused."""

ASK_AFTER_S = (0.5, 2.0, 10.0, 30.0)
"""Waits between the questions whether Discord has made a reply; the last one repeats."""

Prepare = Callable[..., Awaitable[Mapping[str, decoding.Upload]]]
"""Makes the pictures that are worked on of those that were given, in the folder where they lie, by name as well."""


class Client(Protocol):
    """The client that interactions come to."""

    admission: Admission


def admission_of(interaction: discord.Interaction) -> Admission:
    """What takes the jobs that are asked for in this interaction."""
    return cast(Client, interaction.client).admission


class Admission:
    """The one way in. `resume` it once; what members do arrives through the other methods."""

    def __init__(
        self,
        jobs: Jobs,
        dispatcher: Dispatcher,
        posting: Posting,
        delivery: Delivery,
        access: Access,
        workshop: Workshop,
        background: Background,
        cdn: Cdn,
        commands: Mapping[str, str],
        policies: Policies,
        *,
        max_waiting: int,
        max_waiting_per_member: int,
        observer: Observer | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """`commands` names, for each kind of request, the command that a member must be allowed to use for it."""
        self.jobs = jobs
        self.policies = policies
        self._till = Till(jobs, policies)
        self.workshop = workshop
        self.cdn = cdn
        self.seen = Seen()
        self._incoming = Incoming(jobs, workshop, credentials)
        self.dispatcher = dispatcher
        self._posting = posting
        self.delivery = delivery
        self.access = access
        self._background = background
        self._observer = observer or Observer()
        self.erasure = Erasure(jobs, dispatcher, posting, background)
        self.commands = commands
        """The command by which each kind of request is asked for."""
        self.room = Room(dispatcher.waiting, max_waiting, max_waiting_per_member)
        self._writing: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        """One for each member whose job is being counted and written down: of two at once one comes first."""

    @property
    def ready(self) -> Ready:
        """What the engine can do."""
        return self.dispatcher.ready

    def command_of(self, request: Request) -> str:
        """The command by which this is asked for."""
        return self.commands[request.kind]

    async def submit(self, interaction: discord.Interaction, request: Request, parent_id: int | None = None) -> None:
        """Accept a request whose inputs are kept: from here on it is answered in a reply of its own.

        Raises MemberError instead where the engine cannot run it, where too many wait already, or where this member
        may not ask for it.
        """
        require_possible(request, self.ready)
        await self.access.require(interaction, self.command_of(request))
        with self.room.held(interaction.user.id):
            job = await self.write_down(reply_of(interaction), request, parent_id)
            logs.turn_to(job.id)
            acknowledged = await self._acknowledge(interaction, job, self.dispatcher.card(job))
            if acknowledged is not None and acknowledged.state == "queued":
                await self.dispatcher.accept(acknowledged)

    async def submit_on(
        self,
        interaction: discord.Interaction,
        pictures: Mapping[str, Posted | Input],
        build: Build,
        *,
        prepare: Prepare | None = None,
        parent_id: int | None = None,
    ) -> None:
        """Accept a request on pictures; those that are not kept yet are read first.

        Where one cannot be read, its member is told, and the reply is taken back. Raises MemberError as `submit` does.
        """
        kept = {name: picture for name, picture in pictures.items() if isinstance(picture, Input)}
        if len(kept) == len(pictures) and prepare is None:
            return await self.submit(interaction, build(**kept), parent_id)
        unread = {name: picture.unread for name, picture in pictures.items() if isinstance(picture, Posted)}
        drafted = draft(kept | unread, build, self.ready)
        await self.access.require(interaction, self.command_of(drafted))
        with self.room.held(interaction.user.id):
            job = await self.write_down(reply_of(interaction), drafted, parent_id, reading=True)
            logs.turn_to(job.id)
            card = cards.arriving(job, self.delivery.headline(job))
            acknowledged = await self._acknowledge(interaction, job, card)
            if acknowledged is None or acknowledged.state != "reading":
                return None
            try:
                complete = await self.read(acknowledged, pictures, build, prepare)
            except MemberError as error:
                return await self._withdraw(interaction, acknowledged, error.reason)
            except Exception:
                await self._fail(acknowledged, because(N_("Something went wrong inside Easel: try again.")), "internal")
                raise
            if complete is not None:
                await self.dispatcher.accept(complete)
        return None

    async def read(
        self, job: Job, pictures: Mapping[str, Posted | Sent | Input], build: Build, prepare: Prepare | None
    ) -> Job | None:
        """The job with its pictures, None where it was cancelled meanwhile. Raises MemberError as the reading does."""
        try:
            async with self.workshop.turn(job.reply.member_id) as folder:
                read: Mapping[str, decoding.Upload] = {
                    name: await self._incoming.into(folder, picture)
                    for name, picture in pictures.items()
                    if prepare is not None or not isinstance(picture, Input)
                }
                if prepare is not None:
                    read = await prepare(folder, **read)
                inputs = {name: Input(upload.sha256, upload.width, upload.height) for name, upload in read.items()}
                request = build(**{**pictures, **inputs})
                require_possible(request, self.ready)
                lefts = [upload.left(folder) for upload in read.values()]
                price = costs.price_of(request, self.ready)
                # Before the folder goes.
                return await insist(f"the uploads of job {job.id}", self.jobs.settle, job.id, request, lefts, price)
        except OSError as error:
            log.error("its uploads cannot be kept: %s", error.strerror or error)
            raise MemberError("There is no room for uploads at the moment: try again later.") from error

    async def cancel(self, job: Job) -> bool:
        """Stop a job that has not ended; False where it has."""
        return await self.dispatcher.cancel(job)

    async def delete(self, job: Job, by: int | None = None) -> None:
        """Stop a job and forget it and its pictures. `by` is who wants that, where it is known."""
        await self.dispatcher.delete(job, by)

    def refusal(self, reply: Reply, reason: Reason, kind: str, request: Request | None = None) -> MemberError:
        """The error by which a member is refused what a rule forbids, which is written down; returns at once."""
        self._background.start(
            insist("that a member was refused", self.jobs.audit.refused, reply, reason, kind, request)
        )
        return MemberError.of(reason)

    def reconnected(self) -> None:
        """Discord can be reached again."""
        self.delivery.try_again()

    async def resume(self, unsettled: Iterable[Job]) -> None:
        """Take up what was on its way in when the bot ended: what was complete is queued if its member was told, what
        was still being read is withdrawn in words.

        Ask for it before members can send anything: what they have sent since is on its way in now.
        """
        for job in unsettled:
            if job.state == "arriving":
                self._background.start(self._take_up(job))
                continue
            with logs.about(job.id):
                stopped = because(N_("Easel was stopped while it read your picture: send the command again."))
                await self._fail(job, stopped, "internal")

    async def _take_up(self, job: Job) -> None:
        """Go on with a complete job of which it is not known whether its member was told."""
        logs.turn_to(job.id)
        known = await self._confirm(job)
        if known is not None and known.state == "queued":
            await self.dispatcher.accept(known)

    async def write_down(
        self, reply: Reply, request: Request, parent_id: int | None = None, *, reading: bool = False
    ) -> Job:
        """The job of a request that is allowed, from here on a row. Hold a place in the `room`. Raises MemberError."""
        writing = self._writing.setdefault(reply.member_id, asyncio.Lock())
        try:
            with self._posting.answering():
                async with asyncio.timeout(WRITTEN_WITHIN_S), writing:
                    admitted = await self._till.admit(request, reply, parent_id, self.ready, reading=reading)
                    if isinstance(admitted, Reason):
                        raise self.refusal(reply, admitted, request.kind, request)
                    return admitted
        except (TimeoutError, *UNWRITTEN) as error:
            log.error("a job could not be written down, its member was told so: %s", error or "it took too long")
            # The last statement may have been carried out all the same.
            self._background.start(insist("that a job was refused", self.jobs.withdraw, reply.member_id, reply.token))
            refuse_fatal(error)
            raise MemberError(
                "Easel cannot write your job down at the moment: try again in a few minutes, or tell whoever runs it."
            ) from error

    async def _acknowledge(self, interaction: discord.Interaction, job: Job, card: cards.Card) -> Job | None:
        """Answer the interaction with the job's first card; the job as it is then, or None where it is no more.

        Where Discord refuses the answer there is no job, and its refusal is raised. Where its own answer is lost it is
        asked whether there is a reply.
        """
        try:
            with self._posting.answering():
                response = await interaction.response.send_message(
                    view=card.view, allowed_mentions=discord.AllowedMentions.none()
                )
        except UNREACHED as error:
            refused = isinstance(error, discord.HTTPException) and error.status < 500
            if refused and getattr(error, "code", 0) != ALREADY_ACKNOWLEDGED:
                await insist(f"that job {job.id} was refused", self.jobs.delete, job.id)
                raise
            log.warning("it is not known whether its member was told: %s", error)
            return await self._confirm(job)
        assert response is not None, "Discord tells the message of an answer"
        assert response.message_id is not None, "a card is a message"
        message_id = response.message_id
        known = await insist(f"the reply of job {job.id}", self.jobs.acknowledge, job.id, message_id)
        if known is None:
            # Its member was erased meanwhile.
            self._background.start(self.delivery.take_away(job))
        return known

    async def _confirm(self, job: Job) -> Job | None:
        """Ask Discord whether a job has a reply: with one it goes on, without one its member was never told, and it is
        forgotten. Where nobody can tell any more it goes on: better a surplus picture than a lost one."""
        for wait_s in growing(ASK_AFTER_S):
            try:
                message_id = await self._posting.find(job.reply)
            except Unknown:
                return await insist(f"job {job.id}", self.jobs.acknowledge, job.id, None)
            except UNREACHED as error:
                log.warning("Discord does not say whether it has a reply: %s", error)
            else:
                if message_id is not None:
                    return await insist(f"the reply of job {job.id}", self.jobs.acknowledge, job.id, message_id)
                log.info("its member was never told of it, it is forgotten")
                await insist(f"that job {job.id} is forgotten", self.jobs.delete, job.id)
                return None
            await asyncio.sleep(wait_s)
        raise AssertionError("the waits have no end")

    async def _withdraw(self, interaction: discord.Interaction, job: Job, reason: Reason) -> None:
        """Take a job back whose uploads cannot be read: why is for its member alone, where Discord lets that be said.

        It is said first: the bot may be killed at any moment, and nothing vanishes without a word.
        """
        if not await tell(interaction, why(reason)):
            return await self._fail(job, reason)
        try:
            await self._posting.remove(job.reply)
        except (*UNREACHED, Unknown) as unreached:
            # Then its own card says it, as soon as Discord can be reached.
            log.warning("its reply could not be taken back: %s", unreached)
            return await self._fail(job, reason)
        self._observer.refused(self.command_of(job.request), reason)
        return await insist(f"the end of job {job.id}", self.jobs.delete, job.id)

    async def _fail(self, job: Job, reason: Reason, kind: FailureKind = "invalid_input") -> None:
        ended = await insist(f"the end of job {job.id}", self.jobs.fail, job.id, kind, reason)
        if ended is not None:
            self.dispatcher.bring(ended)
