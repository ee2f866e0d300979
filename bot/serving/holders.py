"""Who holds a key, and what holds for them now: in their server, with their roles, in the channel of the key.

Discord is asked, and its answer is believed for a short while: whoever has left the server, or may not read the channel
or use commands there any more, is refused, as Discord itself refuses their commands.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable

import discord

from bot.access import At
from bot.admission import Admission
from bot.app import Easel
from bot.errors import MemberError, Starting
from bot.job import Reply
from bot.keys import Key
from bot.policies.problem import of_command
from bot.posting import UNREACHED, is_age_restricted, place_of
from bot.serving.refusals import Refusal, of_error
from bot.words import N_, say, spoken

BELIEVED_S = 30.0
"""So long what Discord said of a member holds."""

MOST_KNOWN = 1000

NOT_SAID = N_("Discord does not say who may do this: try again in a moment.")

Place = discord.abc.GuildChannel | discord.Thread


class Holders:
    """What Discord says of those who hold keys."""

    def __init__(self, client: Easel, admission: Admission, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._admission = admission
        self._clock = clock
        self._known: dict[tuple[int, int], tuple[discord.Member, float]] = {}

    async def reply_of(self, key: Key, command: str, *, lasts: bool = True) -> Reply:
        """What stands for the answer to what is asked by this key as by this command.

        Raises Refusal where its member may not use that there, and MemberError.
        """
        if not self._client.is_ready():
            raise Starting
        guild = self._client.get_guild(key.guild_id)
        if guild is None:
            raise _forbidden(say("Easel is not in the server of this key any more: make a key in another one."))
        try:
            member = await self._member(guild, key.member_id)
            channel = guild.get_channel_or_thread(key.channel_id) or await guild.fetch_channel(key.channel_id)
        except (discord.NotFound, discord.Forbidden) as error:
            raise _forbidden(
                say("The channel of this key is gone, or its member has left the server: make a new key with /key.")
            ) from error
        except UNREACHED as error:
            raise Refusal(503, say(NOT_SAID), code="discord", retry_after_s=5) from error
        reply = Reply(
            member_id=member.id,
            guild_id=guild.id,
            channel_id=channel.id,
            message_id=None,
            # No interaction has one, and no two jobs the same: by it a row is found of which nobody was told.
            token=f"key {secrets.token_hex(8)}",
            token_expires_at=0,
            attachment_size_limit=sys.maxsize,
            age_restricted=is_age_restricted(channel),
            language=spoken(),
            place_id=place_of(channel) or channel.id,
            role_ids=tuple(role.id for role in member.roles),
            key_id=key.id,
            lasts=lasts,
        )
        await self._require(member, channel, reply, command)
        return reply

    async def _require(self, member: discord.Member, channel: Place, reply: Reply, command: str) -> None:
        permissions = channel.permissions_for(member)
        if not (permissions.view_channel and permissions.use_application_commands):
            raise _forbidden(say("You may use no commands in the channel of this key: make a key in another one."))
        policy = self._admission.policies.of(reply)
        at = At(member.guild, member, channel, reply.place_id or channel.id, permissions)
        for name in ("key", command):
            try:
                await self._admission.access.require_of(at, name)
            except MemberError as error:
                if error.reason.name == NOT_SAID:
                    raise Refusal(503, str(error), code="discord", retry_after_s=5) from error
                raise _forbidden(str(error)) from error
            if (reason := policy.barred or of_command(name, policy)) is not None:
                raise of_error(self._admission.refusal(reply, reason, name))

    async def _member(self, guild: discord.Guild, member_id: int) -> discord.Member:
        now = self._clock()
        member, until = self._known.get((guild.id, member_id), (None, 0.0))
        if member is None or now >= until:
            self._known = {one: known for one, known in self._known.items() if known[1] > now}
            member = await guild.fetch_member(member_id)
            if len(self._known) < MOST_KNOWN:
                self._known[guild.id, member_id] = member, now + BELIEVED_S
        return member


def _forbidden(message: str) -> Refusal:
    return Refusal(403, message, code="not_allowed")
