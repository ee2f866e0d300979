"""Many members at once: who they are, what a bot is told of them, and that nobody is woken for others."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from sandbox.client.member import Member, Refused
from sandbox.clock import ManualClock
from sandbox.community.beginning import crowd
from sandbox.platform.hub import Hub
from sandbox.server import Sandbox
from sandbox.testing.journal import KEPT, Journal
from tests import openapi
from tests.sandbox.rawbot import GUILD, IMAGINE, RawBot

Json = dict[str, Any]


def test_no_id_of_a_crowd_is_used_twice() -> None:
    people = crowd(2500)
    ids = [one for person in people for one in (person.id, person.direct_channel_id)]
    assert len(set(ids)) == len(ids)


async def test_members_of_a_crowd_act_as_anybody_does() -> None:
    async with Sandbox(members=40) as sandbox, RawBot(sandbox.url) as bot, aiohttp.ClientSession() as http:
        await bot.register(IMAGINE)
        gateway = await bot.login()
        members = [Member(sandbox.url, f"member-{number}", http=http) for number in range(1, 41)]
        waiting = [asyncio.create_task(member.command("/imagine prompt:x")) for member in members]
        asked: list[Json] = [(await gateway.event("INTERACTION_CREATE"))["d"] for _ in members]
        assert len({one["member"]["user"]["id"] for one in asked}) == 40
        await asyncio.gather(*(bot.respond(one, {"type": 4, "data": {"content": one["id"]}}) for one in asked))
        replies = await asyncio.gather(*waiting)
        assert {reply.message["content"] for reply in replies} == {one["id"] for one in asked}
        state = await members[0].state()
        assert [one["name"] for one in state["members"]][-2:] == ["Alan", "member-1"]
        async with Member(sandbox.url, "member-41") as nobody:
            with pytest.raises(Refused, match=r"no member “member-41” here; there are Ada, [\w, ]+, Alan\."):
                await nobody.state()


async def test_bot_is_told_of_a_crowd_when_it_asks() -> None:
    async with Sandbox(members=1500, privileged_intents=True) as sandbox, RawBot(sandbox.url) as bot:
        gateway = await bot.login(intents=1 | 1 << 1)
        studio = gateway.guilds[0]
        assert (studio["large"], studio["member_count"], len(studio["members"])) == (True, 1506, 1)
        await gateway.send(8, {"guild_id": GUILD, "query": "", "limit": 0})
        chunks = [(await gateway.event("GUILD_MEMBERS_CHUNK"))["d"] for _ in range(2)]
        assert [(one["chunk_index"], one["chunk_count"], len(one["members"])) for one in chunks] == [
            (0, 2, 1000),
            (1, 2, 506),
        ]
        _, page = await bot.call("GET", f"/guilds/{GUILD}/members?limit=1000")
        _, rest = await bot.call("GET", f"/guilds/{GUILD}/members?limit=1000&after={page[-1]['user']['id']}")
        assert (len(page), len(rest)) == (1000, 506)
        async with Member(sandbox.url) as ada:
            assert openapi.problems(await ada.log()) == []


async def test_who_waits_for_one_thing_is_not_woken_for_another() -> None:
    hub = Hub()
    for_one, for_two = (asyncio.create_task(hub.change(60, [number])) for number in (1, 2))
    for_any = asyncio.create_task(hub.change(60))
    await asyncio.sleep(0)
    hub.wake(1)
    assert await for_one
    assert await for_any
    assert not for_two.done()
    hub.wake(2)
    assert await for_two
    assert not await hub.change(0, [3])
    assert hub._waiting == {}


def test_journal_keeps_the_last_requests_and_their_numbers() -> None:
    journal = Journal(ManualClock())
    for number in range(KEPT + 5):
        journal.append({"status": 403 if number % 2 else 200, "response": b"%d" % number})
    assert journal.since(0)[0]["number"] == 6
    assert [(one["number"], one["response"]) for one in journal.since(KEPT + 4)] == [
        (KEPT + 4, KEPT + 3),
        (KEPT + 5, KEPT + 4),
    ]
    assert journal.invalid_requests == (KEPT + 5) // 2
