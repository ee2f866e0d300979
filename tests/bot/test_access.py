"""Who may see what a job made, and use what stands under it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import discord
import pytest

from bot.access import Access, may_change, may_see, moderates, where_of
from bot.errors import MemberError
from bot.finding import Where
from bot.job import Job
from tests.bot.conftest import job
from tests.bot.test_delivery import refusal

GUILD, CHANNEL, ADA, GRACE = 5, 6, 1, 2


def someone(member_id: int = GRACE, **changes: object) -> Any:
    """An interaction of a member in the channel where jobs are made."""
    made = create_autospec(discord.Interaction, instance=True)
    made.user = create_autospec(discord.Member, instance=True, id=member_id)
    made.user.roles = []
    made.guild_id, made.channel_id, made.message = GUILD, CHANNEL, None
    made.type = discord.InteractionType.component
    made.permissions = discord.Permissions(use_application_commands=True)
    made.guild = create_autospec(discord.Guild, instance=True, id=GUILD, owner_id=99)
    made.channel = create_autospec(discord.TextChannel, instance=True, id=CHANNEL)
    made.channel.is_nsfw.return_value = False
    made.guild.get_channel_or_thread.return_value = made.channel
    made.channel.permissions_for.return_value = discord.Permissions(read_messages=True, read_message_history=True)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def of_ada(**changes: object) -> Job:
    made = job(7, ADA)
    return replace(made, reply=replace(made.reply, **changes))  # type: ignore[arg-type]


async def test_who_can_read_the_channel_may_see() -> None:
    assert await may_see(someone(), of_ada())
    hidden = someone()
    hidden.channel.permissions_for.return_value = discord.Permissions(read_messages=False)
    assert not await may_see(hidden, of_ada())
    hidden.user.id = ADA
    assert await may_see(hidden, of_ada())


async def test_nothing_is_seen_from_another_server() -> None:
    assert not await may_see(someone(ADA, guild_id=6), of_ada())


async def test_job_whose_message_is_pressed_stands_right_here() -> None:
    pressed = someone(guild_id=None, message=create_autospec(discord.Message, instance=True, id=100))
    assert await may_see(pressed, of_ada(message_id=100))
    assert not await may_see(pressed, of_ada(message_id=101))


@pytest.mark.parametrize("member", [ADA, GRACE])
async def test_what_was_made_in_an_age_restricted_channel_stays_there(member: int) -> None:
    here = someone(member)
    assert not await may_see(here, of_ada(age_restricted=True))
    here.channel.is_nsfw.return_value = True
    assert await may_see(here, of_ada(age_restricted=True))


async def test_private_thread_is_for_those_who_are_in_it() -> None:
    thread = create_autospec(discord.Thread, instance=True, id=CHANNEL)
    thread.is_private.return_value = True
    # What the channel around it allows everybody.
    thread.permissions_for.return_value = discord.Permissions(read_messages=True, read_message_history=True)
    here = someone()
    here.guild.get_channel_or_thread.return_value = thread
    assert await may_see(here, of_ada())
    thread.fetch_member = AsyncMock(side_effect=refusal(404, 10007))
    assert not await may_see(here, of_ada())
    thread.fetch_member = AsyncMock(side_effect=refusal(500))
    assert not await may_see(here, of_ada())
    thread.permissions_for.return_value |= discord.Permissions(manage_threads=True)
    assert await may_see(here, of_ada())


async def test_thread_that_sleeps_is_asked_for() -> None:
    here = someone()
    here.guild.get_channel_or_thread.return_value = None
    here.guild.fetch_channel = AsyncMock(return_value=here.channel)
    assert await may_see(here, of_ada())
    here.guild.fetch_channel = AsyncMock(side_effect=refusal(403, 50001))
    assert not await may_see(here, of_ada())


def test_moderator_of_the_channel_may_change_and_of_another_not() -> None:
    moderator = someone(permissions=discord.Permissions(manage_messages=True))
    assert may_change(moderator, of_ada())
    assert not may_change(moderator, of_ada(channel_id=77))
    assert may_change(someone(ADA), of_ada(channel_id=77))
    assert not may_change(someone(), of_ada())


async def test_who_looks_after_a_channel_is_asked_of_that_channel() -> None:
    here = someone(channel_id=77, permissions=discord.Permissions(manage_messages=True))
    assert not await moderates(here, of_ada())
    here.channel.permissions_for.return_value = discord.Permissions(manage_messages=True)
    assert await moderates(here, of_ada())
    assert not await moderates(here, of_ada(guild_id=6))
    here.guild.get_channel_or_thread.return_value = None
    here.guild.fetch_channel = AsyncMock(side_effect=refusal(403, 50001))
    assert not await moderates(here, of_ada())


async def test_place_that_asks_is_said_as_what_may_be_seen_there() -> None:
    """Of a member's own jobs both say the same."""
    here = someone(ADA)
    for of_guild in (GUILD, 77):
        for of_adults in (False, True):
            for adults_here in (False, True):
                here.channel.is_nsfw.return_value = adults_here
                where = where_of(here)
                assert where == Where(GUILD, adults_here)
                seen = of_guild == where.guild_id and (where.age_restricted or not of_adults)
                assert await may_see(here, of_ada(guild_id=of_guild, age_restricted=of_adults)) is seen


IMAGINE, APPLICATION = 1000, 2000


def access(*overrides: tuple[int, bool], needs: int | None = None, of: int = IMAGINE) -> Access:
    """Access to /imagine as a server's moderators have set it."""
    client = create_autospec(discord.Client, instance=True, application_id=APPLICATION)
    said = [{"id": str(of), "permissions": [{"id": str(who), "permission": allowed} for who, allowed in overrides]}]
    client.http = create_autospec(discord.http.HTTPClient, instance=True)
    client.http.get_guild_application_command_permissions = AsyncMock(return_value=said if overrides else [])
    made = Access(client)
    command = create_autospec(discord.app_commands.AppCommand, instance=True, id=IMAGINE, nsfw=False)
    command.name = "imagine"
    command.default_member_permissions = None if needs is None else discord.Permissions(needs)
    made.learn([command])
    return made


def with_roles(*roles: int, **changes: object) -> Any:
    made = someone(**changes)
    made.user.roles = [create_autospec(discord.Role, instance=True, id=role) for role in (GUILD, *roles)]
    return made


EVERYBODY, ALL_CHANNELS = GUILD, GUILD - 1


@pytest.mark.parametrize(
    ("overrides", "roles", "allowed"),
    [
        ((), (), True),
        (((EVERYBODY, False),), (), False),
        (((EVERYBODY, False), (31, True)), (31,), True),
        (((31, False), (32, True)), (31, 32), True),
        (((31, False),), (31,), False),
        (((31, True), (GRACE, False)), (31,), False),
        (((EVERYBODY, False), (GRACE, True)), (), True),
        (((ALL_CHANNELS, False),), (), False),
        (((ALL_CHANNELS, False), (CHANNEL, True)), (), True),
        (((CHANNEL, False), (GRACE, True)), (), False),
    ],
)
async def test_buttons_obey_what_moderators_said_of_the_command(
    overrides: tuple[tuple[int, bool], ...], roles: tuple[int, ...], allowed: bool
) -> None:
    for of in (IMAGINE, APPLICATION):
        required = access(*overrides, of=of).require(with_roles(*roles), "imagine")
        if allowed:
            await required
        else:
            with pytest.raises(MemberError, match="/imagine"):
                await required


async def test_default_permissions_of_a_command_hold_for_its_buttons() -> None:
    manage = discord.Permissions(manage_messages=True)
    with pytest.raises(MemberError):
        await access(needs=manage.value).require(with_roles(), "imagine")
    await access(needs=manage.value).require(with_roles(permissions=manage), "imagine")


async def test_administrators_and_commands_themselves_are_not_asked() -> None:
    closed = access((EVERYBODY, False))
    await closed.require(with_roles(permissions=discord.Permissions.all()), "imagine")
    await closed.require(with_roles(type=discord.InteractionType.application_command), "imagine")


async def test_server_is_asked_once_until_its_moderators_change_their_minds() -> None:
    closed = access((EVERYBODY, False))
    ask: Any = closed._client.http.get_guild_application_command_permissions
    for _ in range(2):
        with pytest.raises(MemberError):
            await closed.require(with_roles(), "imagine")
    assert ask.await_count == 1
    closed.forget(GUILD)
    ask.return_value = []
    await closed.require(with_roles(), "imagine")


async def test_where_discord_does_not_answer_the_member_is_asked_to_try_again() -> None:
    unsure = access((EVERYBODY, False))
    ask: Any = unsure._client.http.get_guild_application_command_permissions
    ask.side_effect = refusal(500)
    with pytest.raises(MemberError, match="try again"):
        await unsure.require(with_roles(), "imagine")
