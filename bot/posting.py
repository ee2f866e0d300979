"""Puts a card where its member finds it: into the reply, into the channel, or into their direct messages.

Knows Discord's tokens and their expiry. What to do where one way is closed is `delivery`'s and `admission`'s affair.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import aiohttp
import discord

from bot import cards
from bot.cards import Card
from bot.job import Reply, Way
from bot.members import PingBy
from bot.words import spoken

TOKEN_LIFE_S = 14.5 * 60
"""Discord lets an interaction's token edit its reply for 15 minutes; the rest is for slow uploads."""

WAYS: tuple[Way, ...] = ("reply", "channel", "member")
"""In the order in which they are tried."""

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
ALREADY_ACKNOWLEDGED, INVALID_WEBHOOK_TOKEN = 40060, 50027

UNREACHED = (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError)
"""What discord.py raises where a request had no success."""

REFUSED, TOO_MANY, SERVER_FAULT = 400, 429, 500

ORIGINAL = cast(int, "@original")
"""In a message id's place, Discord's word for the reply whose id was never learnt."""

CALM_WITHIN_S = 3.0
"""So long does everything else wait for first answers, and no longer."""

_NO_PINGS = discord.AllowedMentions.none()


class Unknown(Exception):
    """The reply's message is not known and its token is of no more use: nobody can tell where it is."""


class Posting:
    """The bot's hands in Discord."""

    def __init__(self, client: discord.Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._answering = 0
        self._calm = asyncio.Event()
        self._calm.set()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Somebody waits for a first answer, which Discord gives three seconds: it goes before everything else."""
        self._answering += 1
        self._calm.clear()
        try:
            yield
        finally:
            self._answering -= 1
            if not self._answering:
                self._calm.set()

    async def calm(self) -> None:
        """Wait until nobody waits for a first answer, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CALM_WITHIN_S):
                await self._calm.wait()

    async def put(self, job_id: int, reply: Reply, card: Card, way: Way) -> int:
        """Show the card this way; returns the message in which it then stands.

        Putting it twice shows it once. Raises what UNREACHED names, and Unknown where the reply cannot be found.
        """
        if way == "reply":
            return await self.edit(reply, card)
        if way == "channel":
            place: discord.abc.Messageable = self._client.get_partial_messageable(
                reply.channel_id, guild_id=reply.guild_id
            )
        else:
            place = await self._client.fetch_user(reply.member_id)
        addressed = cards.addressed(card, reply.member_id)
        # Discord makes no second message of the same nonce within some minutes: a cut answer doubles nothing.
        nonce = f"easel-{job_id}"
        # discord.py's own annotations know no view of the new kind beside a nonce.
        send: Any = place.send
        message = await send(view=addressed.view, files=attached(card), nonce=nonce, allowed_mentions=_NO_PINGS)
        return int(message.id)

    async def edit(self, reply: Reply, card: Card) -> int:
        """Put the card into the reply: by the interaction's token while it lives, later as the bot's own message."""
        if (webhook := self._webhook(reply)) is not None:
            try:
                message = await webhook.edit_message(
                    ORIGINAL if reply.message_id is None else reply.message_id,
                    view=card.view,
                    attachments=attached(card),
                    allowed_mentions=_NO_PINGS,
                )
                return message.id
            except discord.HTTPException as error:
                if error.code not in (INVALID_WEBHOOK_TOKEN, UNKNOWN_WEBHOOK) or reply.message_id is None:
                    raise
        if reply.message_id is None:
            raise Unknown
        channel = self._client.get_partial_messageable(reply.channel_id, guild_id=reply.guild_id)
        message_there = channel.get_partial_message(reply.message_id)
        await message_there.edit(view=card.view, attachments=attached(card), allowed_mentions=_NO_PINGS)
        return reply.message_id

    async def find(self, reply: Reply) -> int | None:
        """The message of a reply that may have been acknowledged; None where it was not, or by a refusal: that is for
        the member alone, and a card never is.

        Raises what UNREACHED names, and Unknown where the token is of no more use.
        """
        webhook = self._webhook(reply)
        if webhook is None:
            raise Unknown
        try:
            message = await webhook.fetch_message(ORIGINAL)
        except discord.NotFound:
            return None
        except discord.HTTPException as error:
            if error.code == INVALID_WEBHOOK_TOKEN:
                raise Unknown from error
            raise
        return None if message.flags.ephemeral else message.id

    async def remove(self, reply: Reply) -> None:
        """Take the reply away; one that is not there is no error. Raises what UNREACHED names."""
        webhook = self._webhook(reply)
        try:
            if webhook is not None:
                await webhook.delete_message(ORIGINAL if reply.message_id is None else reply.message_id)
            elif reply.message_id is not None:
                channel = self._client.get_partial_messageable(reply.channel_id, guild_id=reply.guild_id)
                await channel.get_partial_message(reply.message_id).delete()
        except discord.NotFound:
            pass

    async def ping(self, job_id: int, reply: Reply, sentence: str, way: PingBy) -> None:
        """Say a sentence to the member of a job, who hears of it: in its channel, or by a direct message. Twice within
        some minutes says it once. Raises what UNREACHED names."""
        place: discord.abc.Messageable
        if way == "channel":
            place = self._client.get_partial_messageable(reply.channel_id, guild_id=reply.guild_id)
            sentence = f"<@{reply.member_id}> {sentence}"
        else:
            place = await self._client.fetch_user(reply.member_id)
        them = discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(reply.member_id)])
        await place.send(sentence, nonce=f"easel-ping-{job_id}", allowed_mentions=them)

    async def take_back(self, guild_id: int | None, channel_id: int, message_id: int, member_id: int | None) -> None:
        """Take a message of our own away whose reply is forgotten: out of a channel, or out of this member's direct
        messages. Raises what UNREACHED names; one that is gone already is no error."""
        with suppress(discord.NotFound):
            if member_id is None:
                channel = self._client.get_partial_messageable(channel_id, guild_id=guild_id)
                await channel.get_partial_message(message_id).delete()
            else:
                member = await self._client.fetch_user(member_id)
                await (await member.create_dm()).get_partial_message(message_id).delete()

    def _webhook(self, reply: Reply) -> discord.Webhook | None:
        """What edits the reply by its token, as long as that lives."""
        if self._clock() >= reply.token_expires_at or self._client.application_id is None:
            return None
        return discord.Webhook.partial(self._client.application_id, reply.token, client=self._client)


def is_final(error: Exception) -> bool:
    """Whether what UNREACHED names is Discord's last word, and no try later would have more success."""
    status = error.status if isinstance(error, discord.HTTPException) else TOO_MANY
    return REFUSED <= status < SERVER_FAULT and status != TOO_MANY


def reply_of(interaction: discord.Interaction) -> Reply:
    """Where this interaction's answer will stand, before there is one."""
    assert interaction.channel_id is not None, "commands and buttons are used in a channel"
    return Reply(
        member_id=interaction.user.id,
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        message_id=None,
        token=interaction.token,
        token_expires_at=interaction.created_at.timestamp() + TOKEN_LIFE_S,
        attachment_size_limit=interaction.filesize_limit,
        age_restricted=is_age_restricted(interaction.channel),
        language=spoken(),
        place_id=place_of(interaction.channel) or interaction.channel_id,
        role_ids=tuple(role.id for role in getattr(interaction.user, "roles", ())),
    )


def place_of(channel: object) -> int | None:
    """The channel around a thread; None where it is none."""
    return channel.parent_id if isinstance(channel, discord.Thread) else None


def is_age_restricted(channel: object) -> bool:
    """Whether Discord keeps this channel, or the one that it is a thread of, for adults."""
    marked = getattr(channel, "is_nsfw", None)
    return bool(marked is not None and marked())


def attached(card: Card) -> list[discord.File]:
    """The files of a card, to be sent once."""
    return [
        discord.File(content if isinstance(content, Path) else io.BytesIO(content), filename=name)
        for name, content in card.files
    ]
