"""The member API, for the page and for scripts, and what survives a restart."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from sandbox.client.member import Member, Refused, Unanswered, text_of
from sandbox.clock import ManualClock
from sandbox.errors import OperatorError
from sandbox.server import Sandbox
from tests.sandbox.rawbot import GUILD, IMAGINE, PICTURES, PRINT_ROOM, RawBot

Json = dict[str, Any]


def png(width: int = 40, height: int = 20) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "PNG")
    return out.getvalue()


async def test_state_names_everybody(bot: RawBot, ada: Member) -> None:
    state = await ada.state()
    assert [(one["name"], one["locale"], one["moderator_of"]) for one in state["members"]] == [
        ("Ada", "en-US", []),
        ("Grace", "en-US", [GUILD]),
        ("Linus", "en-US", []),
        ("Mei", "zh-CN", []),
        ("Barbara", "en-US", [GUILD]),
        ("Hedy", "en-US", [PRINT_ROOM]),
        ("Alan", "en-US", [PRINT_ROOM]),
    ]
    assert not state["bot"]["online"]
    await bot.login()
    state = await ada.state()
    assert state["bot"]["online"]
    async with aiohttp.ClientSession() as http, http.get(state["bot"]["avatar_url"]) as response:
        assert (await response.read()).startswith(b"\x89PNG")


async def test_page_hears_of_everything_a_member_may_see(bot: RawBot, ada: Member) -> None:
    url = bot.url + "/sandbox/events?member="
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url + "Ada") as page,
        http.ws_connect(url + "Grace") as other,
    ):
        seen: list[Json] = []

        async def next_frame() -> Json:
            frame = dict(await page.receive_json(timeout=5))
            seen.append(frame)
            return frame

        assert await next_frame() == {"type": "ready", "online": False}
        gateway = await bot.login()
        assert await next_frame() == {"type": "presence", "online": True, "says": ""}
        await bot.register(IMAGINE)
        assert (await next_frame())["commands"][0]["name"] == "imagine"
        running = asyncio.create_task(ada.command("/imagine prompt:x"))
        assert (await next_frame())["interaction"]["state"] == "sent"
        interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
        await bot.respond(interaction, {"type": 4, "data": {"content": "secret", "flags": 64}})
        created = await next_frame()
        assert (created["type"], created["message"]["content"]) == ("message_create", "secret")
        assert (await next_frame())["interaction"]["state"] == "replied"
        await running
        await bot.call("POST", f"/channels/{PICTURES}/typing")
        assert (await next_frame())["type"] == "typing"
        _, sent = await bot.send({"content": "a"})
        await bot.call("PATCH", f"/channels/{PICTURES}/messages/{sent['id']}", {"content": "b"})
        first, second = await next_frame(), await next_frame()
        assert first["message"]["revision"] < second["message"]["revision"]
        await bot.call("DELETE", f"/channels/{PICTURES}/messages/{sent['id']}")
        assert await next_frame() == {"type": "message_delete", "id": sent["id"], "channel_id": PICTURES}
        kinds = [(await other.receive_json(timeout=5))["type"] for _ in range(7)]
        assert kinds == [
            "ready",
            "presence",
            "commands",
            "typing",
            "message_create",
            "message_update",
            "message_delete",
        ]


async def test_edits_are_followed_live(bot: RawBot, ada: Member) -> None:
    _, sent = await bot.send({"content": "0 %"})
    following = asyncio.create_task(ada.wait_for(sent, lambda message: message["content"] == "100 %"))
    for step in ("50 %", "100 %"):
        await bot.call("PATCH", f"/channels/{PICTURES}/messages/{sent['id']}", {"content": step})
    assert (await following)["content"] == "100 %"
    with pytest.raises(Unanswered, match="did not become"):
        await ada.wait_for(sent, lambda message: False, timeout_s=0.05)


async def test_answer_settles_after_its_countdown_and_its_previews(
    bot: RawBot, ada: Member, clock: ManualClock
) -> None:
    await bot.register(IMAGINE)
    gateway = await bot.login()
    running = asyncio.create_task(ada.command("/imagine prompt:x"))
    interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
    await bot.respond(interaction, {"type": 4, "data": {"content": f"ready <t:{int(clock.now()) + 20}:R>"}})
    reply = await running
    await clock.advance(30)
    with pytest.raises(Unanswered):
        await ada.settled(reply, timeout_s=0)
    await bot.webhook("PATCH", interaction, "/messages/@original", {}, {"preview.png": png()})
    await clock.advance(60)
    with pytest.raises(Unanswered):
        await ada.settled(reply, timeout_s=0)
    await bot.webhook("PATCH", interaction, "/messages/@original", {"attachments": [{"id": 0}]}, {"cat.png": png()})
    await clock.advance(1)
    final = await ada.settled(reply, timeout_s=0)
    assert [name for name, _ in await ada.files(final.message)] == ["cat.png"]


async def test_own_messages_are_deleted_and_any_by_a_moderator(sandbox: Sandbox, bot: RawBot, ada: Member) -> None:
    first, second = await ada.write("one", ("a.png", png())), await ada.write("two")
    assert (first["attachments"][0]["width"], first["attachments"][0]["height"]) == (40, 20)
    async with Member(bot.url, "Linus") as linus, Member(bot.url, "Grace") as grace:
        with pytest.raises(Refused, match="Linus may not delete this message."):
            await linus.delete(first)
        await grace.delete(first)
    await ada.delete(second)
    assert (await ada.state())["messages"] == []
    sandbox.state.files.close()
    assert list((sandbox.state.storage.files / PICTURES).iterdir()) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("GET", "/sandbox/state?member=Bob", None, "There is no member “Bob” here"),
        ("GET", "/sandbox/state?member=Ada&channel=x", None, "There is no channel “x” here"),
        ("POST", "/sandbox/commands", b"{", "no valid JSON"),
        ("POST", "/sandbox/commands", b'{"member": "Ada"}', "“name” is missing"),
        ("POST", "/sandbox/components", b'{"member": "Ada", "message_id": "1"}', "no such message"),
        ("POST", "/sandbox/modals", b'{"member": "Ada", "interaction_id": "1"}', "no such form"),
        ("POST", "/sandbox/messages", b'{"member": "Ada", "content": " "}', "empty message"),
        ("POST", "/sandbox/faults", b'{"weather": "rain"}', "no fault “weather”"),
        ("POST", "/sandbox/faults", b'{"latency_s": "long"}', "can't be 'long'"),
        ("POST", "/sandbox/faults", b'{"fail_next": {"method": "GET"}}', "needs a status, cut, delay_s or hang"),
        ("POST", "/sandbox/faults", b'{"failures": [{"status": 200}]}', "not a failure: Expected `int` >= 400"),
        ("POST", "/sandbox/faults", b'{"failures": [{"cut": "after", "tims": 2}]}', "unknown field `tims`"),
        ("POST", "/sandbox/faults", b'{"latency_s": 1, "outage": "yes"}', "outage can't be 'yes'"),
        ("GET", "/sandbox/interactions/1", None, "no such interaction"),
        ("GET", "/sandbox/messages/pictures/1?member=Ada&wait=soon", None, "wait must be"),
        ("GET", "/sandbox/nothing", None, "Not Found"),
    ],
)
async def test_refusals_are_one_sentence(
    sandbox: Sandbox, method: str, path: str, body: bytes | None, sentence: str
) -> None:
    async with aiohttp.ClientSession(sandbox.url) as http, http.request(method, path, data=body) as response:
        assert 400 <= response.status < 500
        assert sentence in (await response.json())["error"]


async def test_other_web_pages_may_not_act_as_members(sandbox: Sandbox) -> None:
    elsewhere = {"Origin": "https://example.org"}
    async with aiohttp.ClientSession(sandbox.url, headers=elsewhere) as http:
        async with http.post("/sandbox/messages", json={"member": "Ada", "content": "x"}) as response:
            assert response.status == 403
        async with http.get("/sandbox/state?member=Ada", headers={"Origin": sandbox.url}) as response:
            assert response.status == 200


async def test_disabled_and_unknown_buttons_are_refused(bot: RawBot, ada: Member) -> None:
    off = {"type": 2, "style": 2, "label": "Off", "custom_id": "off", "disabled": True}
    _, sent = await bot.send({"content": "x", "components": [{"type": 1, "components": [off]}]})
    with pytest.raises(Refused, match="“Off” is disabled."):
        await ada.click(sent, "off")
    with pytest.raises(Refused, match="no button “On”; it has Off."):
        await ada.click(sent, "On")


async def test_select_sends_its_values(bot: RawBot, ada: Member) -> None:
    gateway = await bot.login()
    options = [{"label": "One", "value": "1"}, {"label": "Two", "value": "2"}]
    choose = {"type": 3, "custom_id": "choose", "options": options}
    who = {"type": 5, "custom_id": "who", "max_values": 2}
    rows = [{"type": 1, "components": [choose]}, {"type": 1, "components": [who]}]
    _, sent = await bot.send({"content": "x", "components": rows})
    with pytest.raises(Refused, match="takes 1 values, not 2"):
        await ada.click(sent, "choose", ["1", "2"])
    for custom_id, values in (("choose", ["2"]), ("who", ["Grace", "Ada"])):
        waiting = asyncio.create_task(ada.click(sent, custom_id, values))
        interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
        await bot.respond(interaction, {"type": 4, "data": {"content": "ok"}})
        await waiting
    assert len(interaction["data"]["values"]) == 2
    assert len(interaction["data"]["resolved"]["members"]) == 2


async def test_words_of_a_message_are_gathered_from_everywhere(bot: RawBot) -> None:
    embed = {"title": "T", "description": "D", "fields": [{"name": "n", "value": "v"}], "footer": {"text": "F"}}
    _, sent = await bot.send({"content": "C", "embeds": [embed]})
    assert text_of(sent).split("\n") == ["C", "T", "D", "n: v", "F"]


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    button = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}
    async with Sandbox(data=tmp_path) as sandbox, RawBot(sandbox.url) as bot:
        body = {"content": "kept", "components": [button], "embeds": [{"image": {"url": "attachment://a.png"}}]}
        _, sent = await bot.send(body, {"a.png": png()})
    async with Sandbox(data=tmp_path) as sandbox, RawBot(sandbox.url) as bot, Member(sandbox.url) as ada:
        message = (await ada.state())["messages"][0]
        assert (message["id"], message["content"]) == (sent["id"], "kept")
        assert await ada.pictures(message) == [png()]
        gateway = await bot.login()
        waiting = asyncio.create_task(ada.click(message, "Go"))
        interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
        await bot.respond(interaction, {"type": 7, "data": {"content": "still works"}})
        changed = (await waiting).message
        assert changed["revision"] > message["revision"]
        assert int(interaction["id"]) > int(sent["id"])


async def test_cdn_refuses_unsigned_expired_and_missing_files(bot: RawBot, clock: ManualClock) -> None:
    _, sent = await bot.send({}, {"a.png": png(), "b.txt": b"text"})
    url = sent["attachments"][0]["url"]
    async with aiohttp.ClientSession() as http:

        async def fetch(address: str) -> tuple[int, bytes]:
            async with http.get(address) as response:
                return response.status, await response.read()

        assert await fetch(url) == (200, png())
        status, smaller = await fetch(url + "&width=10&height=10&format=webp")
        with Image.open(io.BytesIO(smaller)) as picture:
            assert (status, picture.size, picture.format) == (200, (10, 5), "WEBP")
        assert (await fetch(url + "&width=ten"))[0] == 400
        assert (await fetch(sent["attachments"][1]["url"] + "&width=10&format=png"))[0] == 415
        assert (await fetch(url.partition("?")[0]))[0] == 404
        assert (await fetch(url.replace("a.png", "b.png")))[0] == 404
        assert (await fetch(f"{bot.url}/avatars/1/2.png"))[0] == 404
        await clock.advance(25 * 3600)
        assert (await fetch(url))[0] == 404


async def test_file_of_a_deleted_message_can_be_fetched_a_little_longer(bot: RawBot, clock: ManualClock) -> None:
    _, sent = await bot.send({}, {"a.png": png()})
    _, other = await bot.send({}, {"b.png": png()})
    async with aiohttp.ClientSession() as http:

        async def status() -> int:
            async with http.get(sent["attachments"][0]["url"]) as response:
                return response.status

        await bot.call("DELETE", f"/channels/{sent['channel_id']}/messages/{sent['id']}")
        assert await status() == 200
        await clock.advance(61)
        await bot.call("DELETE", f"/channels/{other['channel_id']}/messages/{other['id']}")
        assert await status() == 404


async def test_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OperatorError, match=r"The data folder .*file can't be written"):
        Sandbox(data=blocked)


async def test_port_in_use_is_named(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OperatorError, match=f"Port {port} on 127.0.0.1 is in use"):
        async with Sandbox(port=port):
            pass


async def test_page_is_served(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as http, http.get(sandbox.url) as response:
        assert response.status == 200
        assert "html" in response.headers["Content-Type"]
