"""Brings cards to Discord. The only module that knows Discord's limits and expiries."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Callable, Mapping

import aiohttp
import discord

from bot import cards, fitting
from bot.cards import Card, Look
from bot.jobs import Job, Jobs, Reply

log = logging.getLogger(__name__)

TOKEN_LIFE_S = 14.5 * 60
"""Discord lets an interaction's token edit its reply for 15 minutes; the rest is for slow uploads."""

EDIT_EVERY_S = 1.5
"""Discord allows about five edits of a message in five seconds; the final one must never wait for them."""

RETRY_AFTER_S = (2.0, 10.0, 60.0)
"""Waits between the tries to deliver a result; after the last it waits for the next start."""

TOO_LARGE = 413
LEAST_LIMIT = 100_000
"""Bytes: a file this small that Discord does not take is refused for another reason."""

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
INVALID_WEBHOOK_TOKEN = 50027
GONE = (UNKNOWN_CHANNEL, UNKNOWN_MESSAGE)

UNREACHED = (discord.HTTPException, aiohttp.ClientError, OSError)
"""What discord.py raises where a request had no success."""


async def acknowledge(interaction: discord.Interaction) -> Reply:
    """Tell Discord within its three seconds that an answer will come; returns where it will stand."""
    response = await interaction.response.defer(thinking=True)
    assert response is not None, "Discord tells the message of a deferral"
    assert response.message_id is not None, "a deferral makes a message"
    assert interaction.channel_id is not None, "commands and buttons are used in a channel"
    return Reply(
        member_id=interaction.user.id,
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        message_id=response.message_id,
        token=interaction.token,
        token_expires_at=interaction.created_at.timestamp() + TOKEN_LIFE_S,
        attachment_size_limit=interaction.filesize_limit,
    )


async def withdraw(interaction: discord.Interaction) -> None:
    """Take an acknowledgement back: what is said next is then for the member alone."""
    try:
        await interaction.delete_original_response()
    except discord.HTTPException as error:
        log.warning("could not take back an acknowledgement: %s", error)


async def tell(interaction: discord.Interaction, sentence: str) -> None:
    """Say one sentence to the member alone, whether or not the interaction was answered before."""
    try:
        if interaction.response.is_done():
            await interaction.followup.send(sentence, ephemeral=True)
        else:
            await interaction.response.send_message(sentence, ephemeral=True)
    except discord.HTTPException as error:
        # Too late or gone: there is nobody left to tell.
        log.warning("could not tell member %s %r: %s", interaction.user.id, sentence, error)


class Delivery:
    """Shows jobs in their replies: the newest state of a running one now and then, an end surely and once."""

    def __init__(
        self,
        client: discord.Client,
        jobs: Jobs,
        looks: Mapping[str, Look],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`looks` gives each kind of request its look."""
        self._client = client
        self._jobs = jobs
        self._looks = looks
        self._clock = clock
        self._live: dict[int, _Live] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    def headline(self, job: Job) -> str:
        """The job's request in a line."""
        return self._look(job).headline(job.request)

    def show(self, job: Job, card: Card) -> None:
        """Show this soon, unless something newer comes first. Best effort; returns at once."""
        live = self._live.setdefault(job.id, _Live())
        live.newest = card
        if live.follower is None:
            live.follower = asyncio.create_task(self._follow(job, live))

    def deliver(self, job: Job) -> None:
        """Show how a job ended and write down that it is delivered. Tries again by itself; returns at once."""
        task = asyncio.create_task(self._deliver(job))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def close(self) -> None:
        """Let what is on its way arrive, for a few seconds; the rest is delivered after the next start."""
        for live in self._live.values():
            if live.follower is not None:
                live.follower.cancel()
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=5)
        for task in self._deliveries:
            task.cancel()

    async def _follow(self, job: Job, live: _Live) -> None:
        """Show the newest card of a job again and again until there is none newer."""
        while live.newest is not None:
            async with live.editing:
                card, live.newest = live.newest, None
                try:
                    await self._edit(job.reply, card)
                except UNREACHED as error:
                    log.warning("could not show the progress of job %s: %s", job.id, error)
            await asyncio.sleep(EDIT_EVERY_S)
        live.follower = None

    async def _deliver(self, job: Job) -> None:
        live = self._live.pop(job.id, _Live())
        # Once no edit is under way, the follower is asleep or waiting, and nothing can overwrite the end.
        async with live.editing:
            if live.follower is not None:
                live.follower.cancel()
            try:
                arrived = await self._bring(job)
            except FileNotFoundError as error:
                log.error("job %s cannot be delivered, its picture %s is gone", job.id, error.filename)
                return
            if arrived:
                await self._jobs.delivered(job.id)

    async def _bring(self, job: Job) -> bool:
        """Show how a job ended, trying again while there is hope; False where the next start must try."""
        limit = job.reply.attachment_size_limit
        card = await self._end(job, limit)
        waits = iter((*RETRY_AFTER_S, None))
        while True:
            try:
                await self._edit(job.reply, card)
                return True
            except UNREACHED as error:
                if isinstance(error, discord.HTTPException) and error.code in GONE:
                    log.info("job %s: its message was deleted before it could be answered", job.id)
                    return True
                largest = max((len(data) for _, data in card.files), default=0)
                if isinstance(error, discord.HTTPException) and error.status == TOO_LARGE and largest > LEAST_LIMIT:
                    # Discord's word counts, not what the interaction promised.
                    limit = min(limit, largest) // 2
                    log.warning("job %s: its files are too large for Discord, trying %s bytes", job.id, limit)
                    card = await self._end(job, limit)
                    continue
                wait_s = next(waits)
                if wait_s is None or isinstance(error, discord.Forbidden):
                    log.error("job %s cannot be delivered, the next start will try: %s", job.id, error)
                    return False
                log.warning("job %s could not be delivered, trying again in %s s: %s", job.id, wait_s, error)
                await asyncio.sleep(wait_s)

    async def _end(self, job: Job, limit: int) -> Card:
        """How a job ended, in files of at most `limit` bytes."""
        look = self._look(job)
        if job.state != "finished":
            return cards.ended(job, look.headline(job.request), look.ways_on(job))
        pictures = [
            await asyncio.to_thread(fitting.fit, picture, limit) for picture in await self._jobs.picture_bytes(job)
        ]
        return look.finished(job, pictures)

    def _look(self, job: Job) -> Look:
        return self._looks[job.request.kind]

    async def _edit(self, reply: Reply, card: Card) -> None:
        """Put the card into the reply: by the interaction's token while it lives, later as the bot's own message."""
        files = [discord.File(io.BytesIO(data), filename=name) for name, data in card.files]
        if self._clock() < reply.token_expires_at and self._client.application_id is not None:
            webhook = discord.Webhook.partial(self._client.application_id, reply.token, client=self._client)
            try:
                await webhook.edit_message(
                    reply.message_id,
                    view=card.view,
                    attachments=files,
                    allowed_mentions=discord.AllowedMentions.none(),
                )
                return
            except discord.HTTPException as error:
                if error.code not in (INVALID_WEBHOOK_TOKEN, UNKNOWN_WEBHOOK):
                    raise
            files = [discord.File(io.BytesIO(data), filename=name) for name, data in card.files]
        channel = self._client.get_partial_messageable(reply.channel_id, guild_id=reply.guild_id)
        message = channel.get_partial_message(reply.message_id)
        await message.edit(view=card.view, attachments=files, allowed_mentions=discord.AllowedMentions.none())


class _Live:
    """What is still to be shown of a job that has not ended."""

    def __init__(self) -> None:
        self.newest: Card | None = None
        self.follower: asyncio.Task[None] | None = None
        self.editing = asyncio.Lock()
