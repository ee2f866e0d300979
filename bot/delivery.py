"""Brings cards to Discord: the newest state of a running job now and then, an end surely and once.

What Discord's limits and its refusals come to is decided here; how a card gets into a channel is `posting`'s affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import discord

from bot import cards
from bot.background import Background
from bot.callers import Callers, End, Glimpse
from bot.cards import Card, Content, Look
from bot.credentials.giving import Credentials
from bot.database import insist
from bot.errors import WorkFailed
from bot.job import Job, Way
from bot.jobs import Jobs
from bot.localisation import Languages
from bot.observer import Observer
from bot.outgoing import Outgoing
from bot.pictures.fitting import Shown
from bot.pictures.workers import Workshop
from bot.pings import Pings
from bot.posting import UNKNOWN_MESSAGE, UNREACHED, WAYS, Posting, Unknown
from bot.waits import growing
from bot.words import say, speaking
from inference.protocol import logs

log = logging.getLogger(__name__)

EDIT_EVERY_S = 1.5
"""Discord allows about five edits of a message in five seconds; the final one must never wait for them."""

RETRY_AFTER_S = (2.0, 10.0, 60.0, 300.0, 1800.0)
"""Waits between the tries to deliver an end; the last one repeats for as long as the bot runs."""

DELETION_HEARD_WITHIN_S = 2.0
"""So much later than the message itself is gone does Discord tell that somebody deleted it."""

AT_ONCE = 8
"""How many ends are on their way at a time: after an outage there may be thousands."""

REFUSED, TOO_LARGE = 400, 413
CLOSED = (401, 403, 404)
"""What Discord answers where a way to the member is closed."""

LEAST_LIMIT = 100_000
"""Bytes: a file this small that Discord does not take is refused for another reason."""


_Plainer = Callable[[Card], Card]


class Delivery:
    """Shows jobs in their replies."""

    def __init__(
        self,
        posting: Posting,
        background: Background,
        jobs: Jobs,
        looks: Mapping[str, Look],
        workshop: Workshop,
        languages: Languages | None = None,
        observer: Observer | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """`looks` gives each kind of request its look. A job is spoken of in the language of who asked for it, whoever
        else makes it end. Without `credentials` pictures go out unsigned."""
        self._posting = posting
        self._background = background
        self._jobs = jobs
        self._looks = looks
        self.outgoing = Outgoing(jobs, workshop, credentials)
        self._languages = languages or Languages()
        self._observer = observer or Observer()
        self.pings = Pings(jobs, posting, background, self._languages)
        self.callers = Callers()
        """Who waits for the jobs that were asked for by a key."""
        self._live: dict[int, _Live] = {}
        self._deliveries: dict[int, asyncio.Task[Any]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._reached = asyncio.Event()
        """Happens when Discord can be reached again after it could not."""

    def headline(self, job: Job) -> str:
        """The job's request in a line."""
        try:
            return self._look(job).headline(job.request)
        except Exception:
            # An old request may look as no look expects; its job goes on all the same.
            log.exception("the headline of job %s cannot be made", job.id, extra=logs.of(job.id))
            return f"**#{job.id}**"

    async def take_away(self, job: Job) -> bool:
        """Remove the message of a job that was deleted from elsewhere; False where Discord does not let us."""
        try:
            await self._posting.remove(job.reply)
        except (*UNREACHED, Unknown) as error:
            log.warning("the message of deleted job %s could not be removed: %s", job.id, error, extra=logs.of(job.id))
            return False
        return True

    def show(self, job: Job, card: Callable[[str], Card]) -> None:
        """Show this soon, unless something newer comes first; `card` makes it of the job's headline, then and not
        before. Best effort; returns at once."""
        if job.reply.key_id is not None:
            return
        live = self._live.setdefault(job.id, _Live())
        live.newest = card
        if live.follower is None:
            live.follower = self._background.start(self._follow(job, live))

    def glimpse(self, job: Job, image: bytes, share: float) -> None:
        """Show the program that waits for a job, if one does, what its pictures look like after this share of it."""
        self.callers.tell(job.id, Glimpse(image, share))

    def deliver(self, job: Job) -> None:
        """Show how a job ended and write down that it is delivered. Tries until it succeeds; returns at once."""
        if job.id not in self._deliveries:
            task = self._deliveries[job.id] = self._background.start(self._deliver(job))
            task.add_done_callback(lambda _: self._deliveries.pop(job.id, None))

    @property
    def under_way(self) -> int:
        """How many ends are on their way to their members."""
        return len(self._deliveries)

    def try_again(self) -> None:
        """Discord can be reached again: no end waits any longer for its next try."""
        self._reached.set()
        self._reached = asyncio.Event()

    def forget(self, job_id: int) -> None:
        """Show nothing more of a job that was deleted."""
        self.callers.tell(job_id, End(None))
        if (live := self._live.pop(job_id, None)) is not None and live.follower is not None:
            live.follower.cancel()
        if (task := self._deliveries.get(job_id)) is not None:
            task.cancel()

    def close(self) -> None:
        """Show no progress any more; ends that are on their way go on."""
        for live in self._live.values():
            if live.follower is not None:
                live.follower.cancel()

    async def _follow(self, job: Job, live: _Live) -> None:
        """Show the newest card of a job again and again until there is none newer."""
        logs.turn_to(job.id)
        while live.newest is not None:
            await self._posting.calm()
            async with live.editing:
                card, live.newest = live.newest, None
                try:
                    with self._speaking_of(job):
                        shown = card(self.headline(job))
                    await self._posting.edit(job.reply, shown)
                except Exception as error:
                    # The next card, or the end, will do.
                    log.warning("could not show its progress: %s", error)
            await asyncio.sleep(EDIT_EVERY_S)
        live.follower = None

    async def _deliver(self, job: Job) -> None:
        logs.turn_to(job.id)
        if job.reply.key_id is not None:
            return await self._hand_over(job)
        live = self._live.pop(job.id, _Live())
        # Once no edit is under way, the follower is asleep or waiting, and nothing can overwrite the end.
        async with live.editing:
            if live.follower is not None:
                live.follower.cancel()
            with ExitStack() as desks, self._speaking_of(job):
                put = await self._bring(job, desks)
        if put is not None:
            way, message_id = put
            await insist(f"the delivery of job {job.id}", self._jobs.delivered, job.id, way, message_id)
            self._observer.delivered(job)
            self.pings.soon(job.id)
        else:
            self._observer.forgotten(job.id)
        return None

    async def _hand_over(self, job: Job) -> None:
        """Give the end to the program that waits for it. Where none does any more, its member finds it in their
        history: it is delivered all the same, nothing else will ever ask for it."""
        await insist(f"the delivery of job {job.id}", self._jobs.delivered, job.id, None, None)
        self.callers.tell(job.id, End(job))
        self._observer.delivered(job)

    async def _bring(self, job: Job, desks: ExitStack) -> tuple[Way, int] | None:
        """Show how a job ended, for as long as it takes; returns the way and the message, None where the job is gone.

        A way that is closed leads to the next one. A card that Discord does not take is shown smaller, then barer.
        """
        waits = growing(RETRY_AFTER_S)
        ways: Iterator[Way] = iter(WAYS)
        way: Way = next(ways)
        limit = job.reply.attachment_size_limit
        card: Card | None = None
        plainer = self._plainer(job)
        while True:
            try:
                await self._posting.calm()
                async with self._room:
                    card = card or await self.end(job, limit, desks)
                    return way, await self._posting.put(job.id, job.reply, card, way)
            except Unknown:
                way = next(ways)
                continue
            except Exception as error:
                # Whatever it is, giving up would lose what a member was promised.
                problem = error
            status = problem.status if isinstance(problem, discord.HTTPException) else None
            largest = max((_size(content) for _, content in card.files), default=0) if card is not None else 0
            if status == TOO_LARGE and largest > LEAST_LIMIT:
                # Discord's word counts, not what the interaction promised.
                limit = min(limit, largest) // 2
                log.warning("its files are too large for Discord, trying %s bytes", limit)
                card = None
                continue
            if status in (REFUSED, TOO_LARGE) and card is not None and (barer := next(plainer, None)) is not None:
                log.error("Discord does not take its card, trying a plainer one: %s", problem)
                card = barer(card)
                continue
            if status in CLOSED:
                if way == "reply" and job.reply.message_id is None:
                    log.info("its member was never told of it, it is forgotten")
                    await insist(f"that job {job.id} is forgotten", self._jobs.delete, job.id)
                    return None
                if getattr(problem, "code", 0) == UNKNOWN_MESSAGE:
                    await asyncio.sleep(DELETION_HEARD_WITHIN_S)
                if await self._is_gone(job):
                    return None
            if status in CLOSED or status == REFUSED:
                if status == REFUSED:
                    # Elsewhere its own card may do.
                    card, plainer = None, self._plainer(job)
                if (following := next(ways, None)) is not None:
                    log.warning("it cannot be shown by way of its %s, trying the next: %s", way, problem)
                    way = following
                    continue
                ways = iter(WAYS)
                way = next(ways)
            wait_s = next(waits)
            log.warning("it could not be delivered, trying again in %s s: %s", wait_s, problem)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._reached.wait()
            if await self._is_gone(job):
                return None

    async def _is_gone(self, job: Job) -> bool:
        return await insist(f"what became of job {job.id}", self._jobs.find, job.id) is None

    async def end(self, job: Job, limit: int, desks: ExitStack) -> Card:
        """How a job ended, in files of at most `limit` bytes; a bare card where its own cannot be made. What had to be
        made smaller lies there until `desks` are closed. Raises OSError where there is no room for it."""
        pictures: Sequence[Shown] = ()
        try:
            pictures = await self.outgoing.fitted(job, limit, desks)
            look = self._look(job)
            if job.state != "finished":
                return cards.ended(job, look.headline(job.request), look.ways_on(job))
            return look.finished(job, pictures)
        except FileNotFoundError as error:
            log.warning("its picture %s is gone", error.filename)
            return cards.removed(job, self._look(job).ways_on(job))
        except WorkFailed as error:
            log.error("its pictures cannot be made small enough for Discord: %s", error)
            sentence = say("This job is finished, and too large to be shown: Original has all of it.")
            return cards.bare(job, sentence)
        except OSError:
            raise
        except Exception:
            log.exception("its card cannot be made")
            return cards.bare(job, _outcome(job), cards.files(job, pictures))

    @staticmethod
    def _plainer(job: Job) -> Iterator[_Plainer]:
        """What to try instead of a card that Discord does not take: the pictures alone, then a sentence alone."""
        yield lambda card: cards.bare(job, _outcome(job), card.files)
        yield lambda _: cards.bare(job, " ".join((_outcome(job), say("Discord did not take the rest."))))

    def _speaking_of(self, job: Job) -> AbstractContextManager[None]:
        return speaking(self._languages.nearest(job.reply.language))

    def _look(self, job: Job) -> Look:
        return self._looks[job.request.kind]


class _Live:
    """What is still to be shown of a job that has not ended."""

    def __init__(self) -> None:
        self.newest: Callable[[str], Card] | None = None
        self.follower: asyncio.Task[Any] | None = None
        self.editing = asyncio.Lock()


def _size(content: Content) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _outcome(job: Job) -> str:
    """How the job ended, in a sentence of which nothing can be wrong."""
    if job.state == "finished":
        return say("This job is finished.")
    return say("This job was cancelled.") if job.state == "cancelled" else say("This job failed.")
