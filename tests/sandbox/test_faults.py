"""What a test can make go wrong, seen by a bare bot."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from sandbox.client.member import Member
from sandbox.clock import ManualClock
from sandbox.server import Sandbox
from tests import openapi
from tests.sandbox.rawbot import PICTURES, RawBot

Json = dict[str, Any]
SEND: Json = {"method": "POST", "route": "/channels/{}/messages"}


async def contents(ada: Member) -> list[str]:
    return [message["content"] for message in (await ada.state())["messages"]]


async def taken(ada: Member, seen: list[int]) -> None:
    """Wait until so many requests have come to each planned failure."""
    while [one["seen"] for one in (await ada.faults())["failures"]] != seen:
        pass


async def test_several_failures_stand_at_once_and_each_counts_its_own_requests(bot: RawBot, ada: Member) -> None:
    later = {**SEND, "status": 403, "code": 50013, "after": 1, "times": 2}
    typing = {"method": "POST", "route": "/channels/{}/typing", "status": 404, "code": 10003, "times": None}
    await ada.faults(failures=[later, typing])
    assert [(await bot.send({"content": str(number)}))[0] for number in range(4)] == [200, 403, 403, 200]
    for _ in range(3):
        status, error = await bot.call("POST", f"/channels/{PICTURES}/typing")
        assert (status, error) == (404, {"message": "Unknown Channel", "code": 10003})
    assert await contents(ada) == ["0", "3"]
    assert [one["seen"] for one in (await ada.faults())["failures"]] == [4, 3]
    await ada.faults(failures=[])
    assert (await bot.call("POST", f"/channels/{PICTURES}/typing"))[0] == 204
    assert openapi.problems(await ada.log()) == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (413, 40005, "Request entity too large"),
        (401, 50027, "Invalid Webhook Token"),
        (403, 50001, "Missing Access"),
        (403, 50013, "Missing Permissions"),
        (403, 50007, "Cannot send messages to this user"),
        (404, 10008, "Unknown Message"),
        (503, 0, "503: as asked for by a planned failure"),
    ],
)
async def test_planned_failure_speaks_as_discord_does(
    bot: RawBot, ada: Member, status: int, code: int, words: str
) -> None:
    await ada.faults(fail_next={"status": status, "code": code})
    assert await bot.send({"content": "x"}) == (status, {"message": words, "code": code})
    assert (await bot.send({"content": "x"}))[0] == 200


async def test_planned_429_may_be_for_all_requests(bot: RawBot, ada: Member) -> None:
    await ada.faults(fail_next={"status": 429, "retry_after": 1.5, "global": True})
    status, error = await bot.send({"content": "x"})
    assert (status, error["retry_after"], error["global"]) == (429, 1.5, True)
    assert (bot.headers["X-RateLimit-Global"], bot.headers["X-RateLimit-Scope"]) == ("true", "global")
    assert openapi.problems(await ada.log()) == []


@pytest.mark.parametrize(("when", "arrived"), [("before", []), ("after", ["x"])])
async def test_cut_request_has_no_answer_and_its_effect_or_none(
    bot: RawBot, ada: Member, when: str, arrived: list[str]
) -> None:
    await ada.faults(failures=[{**SEND, "cut": when}])
    with pytest.raises(aiohttp.ClientConnectionError):
        await bot.send({"content": "x"})
    assert await contents(ada) == arrived
    (entry,) = await ada.log()
    assert (entry["cut"], entry["status"]) == (when, 200 if arrived else None)
    assert openapi.problems([entry]) == []
    assert (await bot.send({"content": "y"}))[0] == 200


async def test_delay_is_for_the_requests_that_match(bot: RawBot, ada: Member, clock: ManualClock) -> None:
    await ada.faults(failures=[{**SEND, "delay_s": 5}])
    slow = asyncio.create_task(bot.send({"content": "x"}))
    assert (await bot.call("GET", "/users/@me"))[0] == 200
    await clock.advance(4)
    assert (await bot.call("GET", "/users/@me"))[0] == 200
    assert not slow.done()
    await clock.advance(1)
    assert (await slow)[0] == 200


async def test_hanging_request_goes_on_when_it_is_released(bot: RawBot, ada: Member) -> None:
    await ada.faults(failures=[{**SEND, "hang": True, "status": 500}, {"route": "/users/@me", "hang": True}])
    hanging = [asyncio.create_task(bot.send({"content": "x"})), asyncio.create_task(bot.call("GET", "/users/@me"))]
    assert (await bot.call("GET", "/gateway"))[0] == 200
    assert not any(task.done() for task in hanging)
    await taken(ada, [1, 1])
    await ada.faults(release=True)
    assert [(await task)[0] for task in hanging] == [500, 200]


async def test_outage_closes_everything_unanswered_until_it_ends(sandbox: Sandbox, bot: RawBot, ada: Member) -> None:
    gateway = await bot.login()
    await ada.faults(failures=[{**SEND, "hang": True}])
    hanging = asyncio.create_task(bot.send({"content": "held"}))
    await taken(ada, [1])
    await ada.faults(outage=True)
    assert await gateway.close_code() == 1006
    for refused in (hanging, bot.call("GET", "/gateway"), bot._http.ws_connect(sandbox.state.gateway.url)):
        with pytest.raises(aiohttp.ClientError):
            await refused
    assert not (await ada.state())["bot"]["online"]
    await ada.faults(outage=False)
    assert await contents(ada) == []
    await bot.send({"content": "meanwhile"})
    again = await bot.connect()
    await again.send(6, {"token": bot.token, "session_id": gateway.ready["session_id"], "seq": gateway.sequence})
    assert (await again.receive())["d"]["content"] == "meanwhile"
    assert (await ada.state())["bot"]["online"]


async def test_forgotten_session_cannot_be_resumed(bot: RawBot, ada: Member) -> None:
    gateway = await bot.login()
    await ada.faults(forget_sessions=True)
    assert await gateway.close_code() == 1006
    again = await bot.connect()
    await again.send(6, {"token": bot.token, "session_id": gateway.ready["session_id"], "seq": gateway.sequence})
    assert (await again.receive())["op"] == 9
    await again.identify(bot.token)
    assert (await again.receive())["t"] == "READY"


async def test_gateway_can_refuse_to_identify_for_a_while(bot: RawBot, ada: Member) -> None:
    await ada.faults(refuse_identify="close")
    gateway = await bot.connect()
    await gateway.identify(bot.token)
    assert await gateway.close_code() == 4000
    await ada.faults(refuse_identify="invalid_session")
    gateway = await bot.connect()
    await gateway.identify(bot.token)
    assert (await gateway.receive())["op"] == 9
    await ada.faults(refuse_identify="silent")
    await gateway.identify(bot.token)
    await gateway.send(1, None)
    assert (await gateway.receive())["op"] == 11
    await ada.faults(refuse_identify=None)
    await gateway.identify(bot.token)
    assert (await gateway.receive())["t"] == "READY"
