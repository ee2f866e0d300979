"""Who may use which command where: permissions that moderators set, and places that a command is for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox.client.member import Member, Refused
from sandbox.community.permissions import Permission
from sandbox.platform.command_permissions import ROLE, USER, Grant, _decided
from sandbox.server import Sandbox
from tests import openapi
from tests.sandbox.rawbot import APPLICATION, GUILD, IMAGINE, RawBot

Json = dict[str, Any]
PERMISSIONS = f"/applications/{APPLICATION}/guilds/{GUILD}/commands"


async def places(url: str, name: str, command: str = "imagine") -> list[str]:
    """Return the names of the channels of both servers where a member is offered the command."""
    async with Member(url, name) as member:
        state = await member.state()
        names = {channel["id"]: channel["name"] for channel in state["channels"]}
        where = [one["sandbox"]["channels"] for one in state["commands"] if one["name"] == command]
        return [names[channel] for channel in (where[0] if where else [])]


async def test_permissions_are_read_by_the_bot_and_told_when_they_change(bot: RawBot, ada: Member) -> None:
    (imagine,) = await bot.register(IMAGINE)
    gateway = await bot.login()
    path = f"{PERMISSIONS}/{imagine['id']}/permissions"
    assert (await bot.call("GET", path))[1]["code"] == 10066
    async with Member(bot.url, "Barbara") as barbara:
        await barbara.permit(
            "/imagine",
            {"role": "@everyone", "allow": False},
            {"member": "Ada", "allow": True},
            {"channel": "all", "allow": True},
        )
    told = (await gateway.event("APPLICATION_COMMAND_PERMISSIONS_UPDATE"))["d"]
    assert told["permissions"] == [
        {"id": GUILD, "type": 1, "permission": False},
        {"id": "1100000000000000101", "type": 2, "permission": True},
        {"id": str(int(GUILD) - 1), "type": 3, "permission": True},
    ]
    assert (await bot.call("GET", path)) == (200, told)
    assert (await bot.call("GET", f"{PERMISSIONS}/permissions")) == (200, [told])
    assert openapi.problems(await ada.log()) == []
    assert (await bot.call("PUT", path, {"permissions": []}))[1]["code"] == 20001


@pytest.mark.parametrize(
    ("permissions", "ada", "grace"),
    [
        ([{"role": "@everyone", "allow": False}], "", ""),
        ([{"role": "@everyone", "allow": False}, {"role": "Moderators", "allow": True}], "", "pictures general"),
        ([{"member": "Grace", "allow": False}, {"role": "Moderators", "allow": True}], "pictures general", ""),
        ([{"channel": "all", "allow": False}, {"channel": "general", "allow": True}], "general", "general"),
        ([{"channel": "pictures", "allow": False}], "general", "general"),
    ],
)
async def test_members_are_offered_what_they_may_use(
    bot: RawBot, permissions: list[Json], ada: str, grace: str
) -> None:
    await bot.register(IMAGINE)
    async with Member(bot.url, "Barbara") as barbara:
        await barbara.permit("imagine", *permissions)
        for name, expected in (("Ada", ada), ("Grace", grace)):
            found = await places(bot.url, name)
            assert [one for one in found if one in ("pictures", "general")] == expected.split()
            assert "Easel" in found
        assert "pictures" in await places(bot.url, "Barbara")
        assert {"prints", "lobby"} <= set(await places(bot.url, "Hedy"))


@pytest.mark.parametrize(
    ("grants", "decided"),
    [
        ([], None),
        ([Grant(1, ROLE, False), Grant(2, ROLE, True)], True),
        ([Grant(1, ROLE, False), Grant(3, ROLE, True)], False),
        ([Grant(9, USER, False), Grant(2, ROLE, True)], False),
    ],
)
def test_one_allowed_role_is_enough_unless_the_member_is_named(grants: list[Grant], decided: bool | None) -> None:
    assert _decided((grants, []), (USER, {9}), (ROLE, {1, 2})) is decided
    assert _decided(([], grants), (USER, {9}), (ROLE, {1, 2})) is decided


async def test_command_that_is_not_offered_cannot_be_sent(bot: RawBot, ada: Member) -> None:
    await bot.register(IMAGINE)
    async with Member(bot.url, "Barbara") as barbara:
        await barbara.permit("imagine", {"member": "Ada", "allow": False})
        with pytest.raises(Refused, match="no command /imagine here"):
            await ada.command("/imagine prompt:x")
        await barbara.permit("imagine")
        gateway = await bot.login()
        running = asyncio.create_task(ada.command("/imagine prompt:x"))
        assert (await gateway.event("INTERACTION_CREATE"))["d"]["data"]["name"] == "imagine"
        running.cancel()


async def test_what_is_set_for_one_command_goes_before_what_is_set_for_all(bot: RawBot) -> None:
    await bot.register(IMAGINE, IMAGINE | {"name": "paint"})
    async with Member(bot.url, "Barbara") as barbara:
        await barbara.permit("all", {"role": "@everyone", "allow": False})
        await barbara.permit("paint", {"role": "@everyone", "allow": True})
    assert "pictures" not in await places(bot.url, "Ada")
    assert "pictures" in await places(bot.url, "Ada", "paint")


async def test_only_managers_set_permissions(ada: Member, bot: RawBot) -> None:
    await bot.register(IMAGINE)
    with pytest.raises(Refused, match="Ada may not manage the server"):
        await ada.permit("imagine", {"member": "Ada", "allow": True})
    async with Member(bot.url, "Barbara") as barbara:
        for wrong, sentence in (
            ({"role": "Painters", "allow": True}, "There is no role “Painters”"),
            ({"member": "Ada"}, "A permission is"),
            ({"channel": "prints", "allow": True}, "no channel “prints”"),
        ):
            with pytest.raises(Refused, match=sentence):
                await barbara.permit("imagine", wrong)
        with pytest.raises(Refused, match="no command “paint”"):
            await barbara.permit("paint")


async def test_moderators_are_whoever_has_the_bits_in_a_channel(bot: RawBot, ada: Member) -> None:
    await bot.register(IMAGINE | {"default_member_permissions": str(int(Permission.MANAGE_MESSAGES))})
    moderate = {"for": "Linus", "allow": int(Permission.MANAGE_MESSAGES)}
    await ada.change_channel("general", overwrites=[moderate])
    assert await places(bot.url, "Linus") == ["general", "Easel"]
    mute = {"for": "@everyone", "deny": int(Permission.USE_APPLICATION_COMMANDS)}
    await ada.change_channel("general", overwrites=[moderate, mute])
    assert await places(bot.url, "Linus") == ["Easel"]


@pytest.mark.parametrize(
    ("fields", "seen", "unseen"),
    [
        ({"contexts": [0]}, "pictures tips", "Easel"),
        ({"contexts": [1]}, "Easel", "pictures"),
        ({"dm_permission": False}, "pictures prints", "Easel"),
        ({"nsfw": True}, "after-dark Easel", "pictures back-room"),
        ({"integration_types": [1]}, "", "pictures Easel"),
    ],
)
async def test_commands_are_offered_in_the_places_they_are_for(
    bot: RawBot, fields: Json, seen: str, unseen: str
) -> None:
    await bot.register(IMAGINE | fields)
    found = set(await places(bot.url, "Ada"))
    assert set(seen.split()) <= found
    assert not set(unseen.split()) & found


async def test_channel_option_takes_the_kinds_that_it_names(bot: RawBot, ada: Member) -> None:
    option = {"type": 7, "name": "where", "description": "d", "channel_types": [11, 12]}
    await bot.register({"name": "move", "description": "d", "options": [option]})
    gateway = await bot.login()
    with pytest.raises(Refused, match="“where” does not take channels of this kind"):
        await ada.command("/move where:#general")
    with pytest.raises(Refused, match="Nobody and nothing here is called “#prints”"):
        await ada.command("/move where:#prints")
    waiting = asyncio.create_task(ada.command("/move where:#tips"))
    data = (await gateway.event("INTERACTION_CREATE"))["d"]["data"]
    assert data["resolved"]["channels"][data["options"][0]["value"]]["thread_metadata"]["locked"] is False
    waiting.cancel()


async def test_permissions_are_there_after_a_restart(tmp_path: Path) -> None:
    async with Sandbox(data=tmp_path) as sandbox, RawBot(sandbox.url) as bot, Member(sandbox.url, "Barbara") as barbara:
        await bot.register(IMAGINE)
        await barbara.permit("imagine", {"role": "@everyone", "allow": False})
    async with Sandbox(data=tmp_path) as sandbox:
        assert await places(sandbox.url, "Linus") == ["Easel"]
