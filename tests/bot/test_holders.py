"""Who holds a key is asked of Discord: whoever it would refuse a command is refused by us."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock, create_autospec

import discord
import pytest

from bot.app import Easel
from bot.errors import MemberError, Starting
from bot.jobs import Jobs
from bot.keys import Key
from bot.policies.kept import Place
from bot.serving import holders as holders_module
from bot.serving.holders import Holders
from bot.serving.refusals import Refusal
from tests.bot.test_admission import Gate

KEY = Key(3, 1, 5, 6, "laptop", "0" * 64, None, 0.0, None)
ALL = discord.Permissions(view_channel=True, use_application_commands=True)


class Server:
    """A server with one member, of which Discord is played."""

    def __init__(self, jobs: Jobs, data: Path) -> None:
        self.gate = Gate(jobs, data)
        self.now = 0.0
        self.client = create_autospec(Easel, instance=True)
        self.guild = create_autospec(discord.Guild, instance=True, id=5)
        self.member = create_autospec(discord.Member, instance=True, id=1)
        self.member.guild, self.member.roles = self.guild, [Mock(id=31)]
        self.channel = create_autospec(discord.TextChannel, instance=True, id=6)
        self.channel.is_nsfw.return_value = True
        self.channel.permissions_for.return_value = ALL
        self.client.get_guild.return_value = self.guild
        self.guild.get_channel_or_thread.return_value = self.channel
        self.guild.fetch_member = AsyncMock(return_value=self.member)
        self.holders = Holders(self.client, self.gate.admission, clock=lambda: self.now)

    async def status(self) -> int:
        """With which status a request is refused."""
        with pytest.raises(Refusal) as caught:
            await self.holders.reply_of(KEY, "imagine")
        return caught.value.status


@pytest.fixture
def server(jobs: Jobs, tmp_path: Path) -> Server:
    return Server(jobs, tmp_path)


def gone(kind: type[discord.HTTPException] = discord.NotFound, status: int = 404) -> discord.HTTPException:
    response: Any = Mock(status=status, reason="")
    return kind(response, "")


async def test_a_program_is_answered_as_its_member_would_be(server: Server) -> None:
    reply = await server.holders.reply_of(KEY, "imagine", lasts=False)
    assert (reply.member_id, reply.guild_id, reply.channel_id, reply.place_id) == (1, 5, 6, 6)
    assert (reply.role_ids, reply.age_restricted, reply.key_id, reply.lasts) == ((31,), True, 3, False)
    # By it a row is found of which nobody was told: no two are the same.
    assert reply.token != (await server.holders.reply_of(KEY, "imagine")).token
    assert [call.args[1] for call in server.gate.access.require_of.await_args_list[:2]] == ["key", "imagine"]


async def test_who_has_left_is_refused_once_discord_is_asked_again(server: Server) -> None:
    await server.holders.reply_of(KEY, "imagine")
    server.guild.fetch_member.side_effect = gone()
    server.now = holders_module.BELIEVED_S - 1
    await server.holders.reply_of(KEY, "imagine")
    server.now = holders_module.BELIEVED_S
    assert await server.status() == 403


@pytest.mark.parametrize("missing", ["view_channel", "use_application_commands"])
async def test_who_may_use_no_commands_there_is_refused(server: Server, missing: str) -> None:
    permissions = discord.Permissions(ALL.value)
    permissions.update(**{missing: False})
    server.channel.permissions_for.return_value = permissions
    assert await server.status() == 403


async def test_what_moderators_took_away_is_refused(server: Server) -> None:
    server.gate.access.require_of.side_effect = MemberError("You may not use /{command} here.", command="key")
    assert await server.status() == 403


@pytest.mark.parametrize("where", [Place(5), Place(5, 6)])
async def test_where_commands_are_limited_keys_are_good_for_nothing_unless_they_are_among_them(
    server: Server, where: Place
) -> None:
    await server.gate.admission.policies.put(where, "commands", ["imagine"])
    assert await server.status() == 403
    await server.gate.admission.policies.put(where, "commands", ["key"])
    assert await server.status() == 403
    await server.gate.admission.policies.put(where, "commands", ["imagine", "key"])
    assert await server.holders.reply_of(KEY, "imagine")


async def test_where_discord_says_nothing_nobody_is_let_in(server: Server) -> None:
    server.guild.fetch_member.side_effect = gone(discord.DiscordServerError, 500)
    assert await server.status() == 503
    server.guild.fetch_member.side_effect = None
    server.client.get_guild.return_value = None
    assert await server.status() == 403
    server.client.is_ready.return_value = False
    with pytest.raises(Starting):
        await server.holders.reply_of(KEY, "imagine")
