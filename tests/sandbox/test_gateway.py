"""The gateway, frame by frame."""

from __future__ import annotations

import importlib.util

import aiohttp
import pytest

from sandbox.client.member import Member
from sandbox.clock import ManualClock
from sandbox.server import DEFAULT_TOKEN, Sandbox
from tests import openapi
from tests.sandbox.rawbot import ALL_INTENTS, GUILD, RawBot


@pytest.mark.parametrize("compress", [False, True])
async def test_bot_logs_in_and_receives_the_server(sandbox: Sandbox, bot: RawBot, compress: bool) -> None:
    gateway = await bot.connect(compress=compress)
    assert gateway.hello["op"] == 10
    assert gateway.hello["d"]["heartbeat_interval"] == 41250
    await gateway.send(1, None)
    assert (await gateway.receive())["op"] == 11
    await gateway.identify(bot.token, ALL_INTENTS)
    ready = await gateway.receive()
    assert (ready["t"], ready["s"], ready["d"]["v"]) == ("READY", 1, 10)
    guild = (await gateway.receive())["d"]
    assert guild["id"] == GUILD
    names = {member["user"]["username"] for member in guild["members"]}
    assert names == {"ada", "grace", "linus", "mei", "barbara", "Easel"}
    assert sandbox.state.gateway.online


async def test_payload_compression_without_a_stream(bot: RawBot) -> None:
    gateway = await bot.connect()
    await gateway.identify(bot.token, compress=True)
    assert (await gateway.receive())["t"] == "READY"


async def test_wrong_token_closes_with_4004(bot: RawBot) -> None:
    gateway = await bot.connect()
    await gateway.identify("any")
    assert await gateway.close_code() == 4004


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"op": 99, "d": None}, 4001),
        ({"op": "x"}, 4002),
        ({"op": 3, "d": {}}, 4003),
        ({"op": 2, "d": {"token": DEFAULT_TOKEN, "intents": -1, "properties": {}}}, 4013),
        ({"op": 2, "d": {"token": DEFAULT_TOKEN, "intents": 0, "properties": {}, "shard": [1, 2]}}, 4010),
        ({"op": 1, "d": "x" * 5000}, 4002),
    ],
)
async def test_ill_formed_frames_close_the_connection(bot: RawBot, frame: object, code: int) -> None:
    gateway = await bot.connect()
    await gateway.socket.send_json(frame)
    assert await gateway.close_code() == code


async def test_identifying_twice_closes_with_4005(bot: RawBot) -> None:
    gateway = await bot.login()
    await gateway.identify(bot.token)
    assert await gateway.close_code() == 4005


async def test_too_many_frames_close_with_4008(bot: RawBot) -> None:
    gateway = await bot.connect()
    for _ in range(121):
        await gateway.send(1, None)
    assert await gateway.close_code() == 4008


async def test_resumed_session_receives_what_it_missed(bot: RawBot) -> None:
    first = await bot.login()
    session, seen = first.ready["session_id"], first.sequence
    await first.close(4000)
    await bot.send({"content": "missed"})
    second = await bot.connect()
    await second.send(6, {"token": bot.token, "session_id": session, "seq": seen})
    assert (await second.receive())["d"]["content"] == "missed"
    resumed = await second.receive()
    assert resumed["t"] == "RESUMED"
    assert isinstance(resumed["d"], dict)


async def test_session_too_old_cannot_be_resumed(sandbox: Sandbox, bot: RawBot, clock: ManualClock) -> None:
    first = await bot.login()
    await first.close(4000)
    while sandbox.state.gateway.online:
        await sandbox.state.hub.change(timeout_s=1)
    await clock.advance(121)
    await bot.send({"content": "x"})
    second = await bot.connect()
    await second.send(6, {"token": bot.token, "session_id": first.ready["session_id"], "seq": first.sequence})
    invalid = await second.receive()
    assert (invalid["op"], invalid["d"]) == (9, False)
    await second.identify(bot.token)
    assert (await second.receive())["t"] == "READY"


async def test_resuming_ahead_of_the_server_closes_with_4007(bot: RawBot) -> None:
    first = await bot.login()
    second = await bot.connect()
    await second.send(6, {"token": bot.token, "session_id": first.ready["session_id"], "seq": 99})
    assert await second.close_code() == 4007


@pytest.mark.parametrize(("how", "operation"), [("reconnect", 7), ("invalid_session", 9)])
async def test_gateway_can_be_told_to_disturb_the_bot(bot: RawBot, ada: Member, how: str, operation: int) -> None:
    gateway = await bot.login()
    await ada.faults(drop_gateway=how)
    assert (await gateway.receive())["op"] == operation


async def test_connection_without_heartbeats_is_closed(clock: ManualClock) -> None:
    async with Sandbox(clock=clock, heartbeat_interval_s=0.05) as sandbox, RawBot(sandbox.url) as bot:
        gateway = await bot.login()
        assert await gateway.close_code() == 4000


async def test_silent_gateway_no_longer_answers_heartbeats(bot: RawBot, ada: Member) -> None:
    gateway = await bot.login()
    await ada.faults(drop_gateway="silent")
    await gateway.send(1, gateway.sequence)
    await bot.send({"content": "still here"})
    assert (await gateway.receive())["t"] == "MESSAGE_CREATE"


async def test_content_is_hidden_without_its_intent(bot: RawBot, ada: Member) -> None:
    gateway = await bot.login(intents=ALL_INTENTS & ~(1 << 15))
    await ada.write("secret", ("a.txt", b"a"))
    hidden = (await gateway.event("MESSAGE_CREATE"))["d"]
    assert (hidden["content"], hidden["attachments"]) == ("", [])
    await ada.write("hello <@1100000000000000100>")
    assert (await gateway.event("MESSAGE_CREATE"))["d"]["content"].startswith("hello")


async def test_members_can_be_requested(bot: RawBot) -> None:
    gateway = await bot.login()
    await gateway.send(8, {"guild_id": GUILD, "query": "a", "limit": 0, "nonce": "n"})
    chunk = (await gateway.event("GUILD_MEMBERS_CHUNK"))["d"]
    assert [member["user"]["username"] for member in chunk["members"]] == ["ada"]
    assert chunk["nonce"] == "n"


async def test_privileged_intents_need_leave(bot: RawBot, ada: Member) -> None:
    assert (await bot.call("GET", "/applications/@me"))[1]["flags"]
    await ada.faults(privileged_intents=False)
    assert (await bot.call("GET", "/applications/@me"))[1]["flags"] == 0
    for intent in (1 << 1, 1 << 8, 1 << 15):
        gateway = await bot.connect()
        await gateway.identify(bot.token, intents=1 | intent)
        assert await gateway.close_code() == 4014
    await bot.login()


async def test_sessions_are_begun_one_in_five_seconds_and_so_many_a_day(
    bot: RawBot, ada: Member, clock: ManualClock
) -> None:
    await ada.faults(rate_limits=True, session_starts=2)

    async def left() -> int:
        return int((await bot.call("GET", "/gateway/bot"))[1]["session_start_limit"]["remaining"])

    assert await left() == 2
    await bot.login()
    assert await left() == 1
    second = await bot.connect()
    await second.identify(bot.token)
    assert (await second.receive())["op"] == 9
    await clock.advance(5)
    await second.identify(bot.token)
    assert (await second.receive())["t"] == "READY"
    assert await left() == 0
    await clock.advance(5)
    third = await bot.connect()
    await third.identify(bot.token)
    assert await third.close_code() == 4004
    await clock.advance(24 * 60 * 60)
    assert await left() == 2
    assert openapi.problems(await ada.log()) == []


async def test_zstandard_is_spoken_where_its_library_is_and_else_plain_text(bot: RawBot) -> None:
    gateway = await bot.connect(compress=True, compression="zstd-stream")
    await gateway.identify(bot.token)
    frame = await gateway.socket.receive()
    assert frame.type == (aiohttp.WSMsgType.BINARY if importlib.util.find_spec("zstandard") else aiohttp.WSMsgType.TEXT)


async def test_zstandard_stream_is_read_as_one(bot: RawBot) -> None:
    pytest.importorskip("zstandard")
    gateway = await bot.connect(compress=True, compression="zstd-stream")
    await gateway.identify(bot.token)
    assert [(await gateway.receive())["t"] for _ in range(3)] == ["READY", "GUILD_CREATE", "GUILD_CREATE"]


async def test_unknown_compression_is_refused(bot: RawBot) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await bot.connect(compress=True, compression="gzip")
