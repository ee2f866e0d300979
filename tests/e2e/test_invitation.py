"""How Easel comes into servers: the printed links, the permissions in them, and where commands are offered."""

from __future__ import annotations

import asyncio
import urllib.parse
from pathlib import Path

import pytest

from bot import invitation
from sandbox.client.member import Member, Refused
from sandbox.community.people import EASEL_ID
from sandbox.server import Sandbox
from tests.e2e.asking import QUICK, painted
from tests.e2e.conftest import running
from tests.e2e.test_operator import run_bot


async def printed(tmp_path: Path, **environ: str) -> list[dict[str, str]]:
    """What the links ask for."""
    async with Sandbox() as sandbox:
        api = {"DISCORD_TOKEN": sandbox.token, "DISCORD_API_BASE": f"{sandbox.url}/api/v10"}
        ended = await asyncio.to_thread(run_bot, tmp_path, "invite", **api, **environ)
    assert ended.returncode == 0, ended.stderr
    links = [urllib.parse.urlsplit(line) for line in ended.stdout.splitlines()]
    assert {f"{link.scheme}://{link.netloc}{link.path}" for link in links} == {"https://discord.com/oauth2/authorize"}
    return [dict(urllib.parse.parse_qsl(link.query)) for link in links]


async def test_invite_prints_a_link_with_exactly_the_permissions_that_easel_needs(tmp_path: Path) -> None:
    [link] = await printed(tmp_path)
    assert link == {
        "client_id": str(EASEL_ID),
        "scope": "bot applications.commands",
        "permissions": str(invitation.PERMISSIONS.value),
        "integration_type": "0",
    }


async def test_invite_prints_a_second_link_where_members_may_install_it(tmp_path: Path) -> None:
    _, own = await printed(tmp_path, EASEL_MEMBER_INSTALL="on")
    assert own == {"client_id": str(EASEL_ID), "scope": "applications.commands", "integration_type": "1"}


async def test_invite_with_a_wrong_token_is_one_line_and_status_2(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        api = {"DISCORD_TOKEN": "wrong", "DISCORD_API_BASE": f"{sandbox.url}/api/v10"}
        ended = await asyncio.to_thread(run_bot, tmp_path, "invite", **api)
    assert (ended.returncode, ended.stderr) == (2, f"easel: {invitation.NO_TOKEN}\n")


async def test_results_arrive_with_no_more_permissions_than_the_link_asks_for(tmp_path: Path) -> None:
    async with running(tmp_path) as studio, Member(studio.sandbox.url, "Ada") as ada:
        await ada.faults(bot_permissions=str(invitation.PERMISSIONS.value))
        reply = await ada.command(f"/imagine prompt:a red house {QUICK}")
        # The reply can no more be edited by its token.
        await ada.advance(16 * 60)
        _, pictures = await painted(ada, reply)
        assert len(pictures) == 1


async def test_commands_stay_out_of_direct_messages_where_the_operator_says_so(tmp_path: Path) -> None:
    async with (
        running(tmp_path, EASEL_DIRECT_MESSAGES="off", EASEL_MEMBER_INSTALL="on") as studio,
        Member(studio.sandbox.url, "Ada", channel="@Easel") as ada,
    ):
        with pytest.raises(Refused):
            await ada.command("/imagine prompt:a red house")
        commands = (await ada.state())["commands"]
    assert commands
    assert {(tuple(one["contexts"]), tuple(one["integration_types"])) for one in commands} == {((0,), (0, 1))}


async def test_commands_are_used_in_direct_messages_and_by_servers_alone_where_nothing_is_said(tmp_path: Path) -> None:
    async with running(tmp_path) as studio, Member(studio.sandbox.url, "Ada", channel="@Easel") as ada:
        _, pictures = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK}"))
        commands = (await ada.state())["commands"]
    assert len(pictures) == 1
    assert {(tuple(one["contexts"]), tuple(one["integration_types"])) for one in commands} == {((0, 1), (0,))}
