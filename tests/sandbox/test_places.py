"""Servers, channels and threads: who sees them, what a bot hears of them, and what happens when they go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox.client.member import Member, Refused
from sandbox.community.permissions import Permission
from sandbox.server import Sandbox
from tests import openapi
from tests.sandbox.rawbot import GUILD, IMAGINE, PICTURES, PRINT_ROOM, Gateway, RawBot

Json = dict[str, Any]
TIPS, BACK_ROOM = "1100000000000000021", "1100000000000000022"
ADA, LINUS, EASEL = "1100000000000000101", "1100000000000000103", "1100000000000000100"
IN_GUILDS = 1 << 0
MESSAGES = 1 << 9


async def channels(member: Member) -> dict[str, Json]:
    return {channel["name"]: channel for channel in (await member.state())["channels"]}


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("Ada", ["pictures", "tips", "general", "back-room", "after-dark", "prints", "lobby", "Easel"]),
        ("Linus", ["pictures", "tips", "general", "after-dark", "Easel"]),
        ("Barbara", ["pictures", "tips", "general", "back-room", "after-dark", "Easel"]),
        ("Hedy", ["prints", "lobby", "Easel"]),
    ],
)
async def test_members_see_their_servers_and_their_private_threads(
    sandbox: Sandbox, name: str, seen: list[str]
) -> None:
    async with Member(sandbox.url, name) as member:
        assert list(await channels(member)) == seen


async def test_bot_is_told_of_both_servers_and_the_threads_it_sees(bot: RawBot, ada: Member) -> None:
    studio, prints = (await bot.login()).guilds
    assert [one["name"] for one in studio["channels"]] == ["pictures", "general", "after-dark"]
    assert [one["nsfw"] for one in studio["channels"]] == [False, False, True]
    tips, back_room = studio["threads"]
    assert (tips["type"], tips["parent_id"], "member" in tips) == (11, PICTURES, False)
    assert (back_room["type"], back_room["member"]["user_id"]) == (12, EASEL)
    assert (prints["id"], [one["name"] for one in prints["channels"]]) == (PRINT_ROOM, ["prints", "lobby"])
    await ada.remove_from_thread("back-room", "Easel")
    assert [one["name"] for one in (await bot.login()).guilds[0]["threads"]] == ["tips"]


async def test_thread_members_are_asked_for_one_by_one(bot: RawBot, ada: Member) -> None:
    path = f"/channels/{BACK_ROOM}/thread-members"
    status, member = await bot.call("GET", f"{path}/{ADA}")
    assert (status, member["user_id"]) == (200, ADA)
    status, error = await bot.call("GET", f"{path}/{LINUS}")
    assert (status, error["code"]) == (404, 10007)
    assert len((await bot.call("GET", path))[1]) == 3
    status, thread = await bot.call("GET", f"/channels/{BACK_ROOM}")
    assert (thread["thread_metadata"]["locked"], thread["member_count"]) == (False, 3)
    assert (await bot.call("GET", f"/channels/{PICTURES}/thread-members/{ADA}"))[1]["code"] == 50024
    assert len((await bot.call("GET", f"/guilds/{GUILD}/threads/active"))[1]["threads"]) == 2
    assert (await bot.call("DELETE", f"{path}/@me"))[0] == 204
    assert (await bot.call("GET", f"/channels/{BACK_ROOM}"))[1]["code"] == 50001
    assert (await bot.call("PUT", f"/channels/{TIPS}/thread-members/@me"))[0] == 204
    assert (await bot.call("GET", f"/channels/{TIPS}/thread-members/{EASEL}"))[0] == 200
    assert openapi.problems(await ada.log()) == []


async def asked(bot: RawBot, gateway: Gateway, member: Member) -> Json:
    """Return the interaction of a command, and answer it."""
    waiting = asyncio.create_task(member.command("/imagine prompt:x"))
    interaction: Json = (await gateway.event("INTERACTION_CREATE"))["d"]
    await bot.respond(interaction, {"type": 4, "data": {"content": "here"}})
    await waiting
    return interaction


async def test_interactions_say_where_they_come_from(bot: RawBot) -> None:
    await bot.register(IMAGINE)
    gateway = await bot.login()
    async with Member(bot.url, "Ada", "after-dark") as ada:
        assert (await asked(bot, gateway, ada))["channel"]["nsfw"]
    async with Member(bot.url, "Ada", "back-room") as ada:
        thread = (await asked(bot, gateway, ada))["channel"]
        assert (thread["type"], thread["parent_id"], thread["thread_metadata"]["archived"]) == (
            12,
            "1100000000000000002",
            False,
        )
    async with Member(bot.url, "Hedy") as hedy:
        interaction = await asked(bot, gateway, hedy)
        assert (interaction["guild_id"], interaction["channel"]["name"]) == (PRINT_ROOM, "prints")
        assert int(interaction["member"]["permissions"]) & Permission.ADMINISTRATOR
    async with Member(bot.url, "Ada", "@Easel") as ada:
        interaction = await asked(bot, gateway, ada)
        assert (interaction["context"], "guild_id" in interaction) == (1, False)


async def test_who_is_not_in_a_private_thread_neither_reads_nor_writes_there(bot: RawBot, ada: Member) -> None:
    _, sent = await bot.call("POST", f"/channels/{BACK_ROOM}/messages", {"content": "among us"})
    assert [one["content"] for one in (await ada.state())["messages"]] == ["among us"]
    async with Member(bot.url, "Linus", "back-room") as linus:
        assert (await linus.state())["messages"] == []
        with pytest.raises(Refused, match="no channel “back-room”"):
            await linus.write("hello")
        with pytest.raises(Refused, match="no channel"):
            await linus.delete(sent)
        await ada.add_to_thread("back-room", "Linus")
        await linus.write("hello")


async def test_threads_come_and_go_as_the_bot_may_see_them(bot: RawBot, ada: Member) -> None:
    gateway = await bot.login()
    public = await ada.create_channel("how-to", type="public_thread", parent="pictures", members=["Linus"])
    created = (await gateway.event("THREAD_CREATE"))["d"]
    assert (created["id"], created["newly_created"], created["member_count"]) == (public["id"], True, 2)
    secret = await ada.create_channel("secret", type="private_thread", parent="general")
    assert (await bot.call("GET", f"/channels/{secret['id']}"))[1]["code"] == 50001
    await ada.add_to_thread("secret", "Easel")
    joined = (await gateway.receive())["d"]
    assert (joined["id"], "newly_created" in joined, joined["member"]["user_id"]) == (secret["id"], False, EASEL)
    assert (await gateway.receive())["t"] == "THREAD_MEMBERS_UPDATE"
    await ada.change_channel("how-to", archived=True)
    assert (await gateway.event("THREAD_UPDATE"))["d"]["thread_metadata"]["archived"]
    await ada.remove_from_thread("secret", "Easel")
    gone = (await gateway.event("THREAD_MEMBERS_UPDATE"))["d"]
    assert gone["removed_member_ids"] == [EASEL]
    await ada.delete_channel("secret")
    await ada.delete_channel("how-to")
    assert (await gateway.event("THREAD_DELETE"))["d"]["id"] == public["id"]


async def test_deleted_channel_is_gone_with_its_threads_and_can_be_made_anew(
    sandbox: Sandbox, bot: RawBot, ada: Member
) -> None:
    gateway = await bot.login()
    _, sent = await bot.send({"content": "x"}, {"a.txt": b"a"})
    await ada.delete_channel("pictures")
    deleted = (await gateway.event("CHANNEL_DELETE"))["d"]
    assert (deleted["id"], deleted["guild_id"]) == (PICTURES, GUILD)
    for method, path in (("GET", ""), ("GET", f"/messages/{sent['id']}"), ("POST", "/messages")):
        assert (await bot.call(method, f"/channels/{PICTURES}{path}", {} if path else None))[1]["code"] == 10003
    assert (await bot.call("GET", f"/channels/{TIPS}"))[1]["code"] == 10003
    assert "pictures" not in await channels(ada)
    sandbox.state.files.close()
    assert list((sandbox.state.storage.files / PICTURES).iterdir()) == []
    again = await ada.create_channel("pictures")
    assert (await gateway.event("CHANNEL_CREATE"))["d"]["id"] == again["id"] != PICTURES
    assert (await bot.call("POST", f"/channels/{again['id']}/messages", {"content": "new"}))[0] == 200
    assert openapi.problems(await ada.log()) == []


async def test_interaction_of_a_deleted_channel_can_no_longer_be_answered_there(bot: RawBot, ada: Member) -> None:
    await bot.register(IMAGINE)
    gateway = await bot.login()
    waiting = asyncio.create_task(ada.command("/imagine prompt:x"))
    interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
    await bot.respond(interaction, {"type": 5})
    await ada.delete_channel("pictures")
    body = {"content": "late"}
    assert (await bot.webhook("PATCH", interaction, "/messages/@original", body))[1]["code"] == 10008
    assert (await bot.webhook("POST", interaction, "", body))[1]["code"] == 10003
    waiting.cancel()


async def test_overwrites_decide_in_one_channel(bot: RawBot, ada: Member) -> None:
    gateway = await bot.login()
    closed = [{"for": "@everyone", "deny": int(Permission.VIEW_CHANNEL)}]
    await ada.change_channel("pictures", overwrites=closed)
    assert (await gateway.event("CHANNEL_UPDATE"))["d"]["permission_overwrites"][0]["id"] == GUILD
    assert (await bot.send({"content": "x"}))[1]["code"] == 50001
    assert "pictures" not in await channels(ada)
    allowed = {"allow": int(Permission.VIEW_CHANNEL)}
    await ada.change_channel("pictures", overwrites=[*closed, {"for": "Easel", **allowed}])
    synced = (await gateway.event("THREAD_LIST_SYNC"))["d"]
    assert (synced["channel_ids"], [one["id"] for one in synced["threads"]]) == ([PICTURES], [TIPS])
    mute = {"for": "Easel", "deny": int(Permission.SEND_MESSAGES)}
    moderate = {"for": "Linus", "allow": int(Permission.MANAGE_MESSAGES)}
    await ada.change_channel("pictures", overwrites=[mute, moderate])
    assert (await bot.send({"content": "x"}))[1]["code"] == 50013
    message = await ada.write("not for long")
    async with Member(bot.url, "Linus") as linus, Member(bot.url, "Mei") as mei:
        with pytest.raises(Refused, match="Mei may not delete"):
            await mei.delete(message)
        await linus.delete(message)
        elsewhere = await linus.create_channel("elsewhere")
        assert not elsewhere["may_moderate"]


@pytest.mark.parametrize("intents", [IN_GUILDS | MESSAGES, IN_GUILDS])
async def test_deletions_by_members_reach_bots_with_the_intent(bot: RawBot, ada: Member, intents: int) -> None:
    gateway = await bot.login(intents=intents)
    one, two, three = [await ada.write(text) for text in ("one", "two", "three")]
    async with Member(bot.url, "Grace") as grace, Member(bot.url, "Ada", "@Easel") as direct:
        await ada.delete(one)
        with pytest.raises(Refused, match="Ada may not delete messages here"):
            await ada.delete_many([two, three])
        await grace.delete_many([two, three])
        await ada.delete_channel("general")
        await direct.delete(await direct.write("between us"))
    events: list[Json] = []
    while (event := await gateway.receive())["t"] != "CHANNEL_DELETE":
        events.append(event)
    if not intents & MESSAGES:
        assert events == []
        return
    assert [event["t"] for event in events] == ["MESSAGE_CREATE"] * 3 + ["MESSAGE_DELETE", "MESSAGE_DELETE_BULK"]
    assert events[0]["d"]["content"] == ""
    assert events[3]["d"] == {"id": one["id"], "channel_id": PICTURES, "guild_id": GUILD}
    assert events[4]["d"] == {"ids": [two["id"], three["id"]], "channel_id": PICTURES, "guild_id": GUILD}


async def test_deletions_in_direct_messages_have_an_intent_of_their_own(bot: RawBot) -> None:
    gateway = await bot.connect()
    await gateway.identify(bot.token, intents=1 << 12)
    await gateway.event("READY")
    async with Member(bot.url, "Ada", "@Easel") as ada:
        message = await ada.write("between us")
        assert (await gateway.receive())["d"]["content"] == "between us"
        await ada.delete(message)
    deleted = await gateway.receive()
    assert (deleted["t"], "guild_id" in deleted["d"]) == ("MESSAGE_DELETE", False)


async def test_bot_may_delete_many_messages_with_the_permission(bot: RawBot, ada: Member) -> None:
    ids = [(await bot.send({"content": text}))[1]["id"] for text in "ab"]
    path = f"/channels/{PICTURES}/messages/bulk-delete"
    assert (await bot.call("POST", path, {"messages": ids}))[1]["code"] == 50013
    manage = {"for": "Easel", "allow": int(Permission.MANAGE_MESSAGES)}
    await ada.change_channel("pictures", overwrites=[manage])
    assert (await bot.call("POST", path, {"messages": ids}))[0] == 204
    assert (await ada.state())["messages"] == []
    assert openapi.problems(await ada.log()) == []
    assert (await bot.call("POST", path, {"messages": ids[:1]}))[1]["code"] == 50016


async def test_changed_world_is_there_after_a_restart(tmp_path: Path) -> None:
    async with Sandbox(data=tmp_path) as sandbox, Member(sandbox.url) as ada:
        await ada.delete_channel("general")
        await ada.create_channel("night", nsfw=True)
        await ada.create_channel("corner", type="private_thread", parent="night")
    async with Sandbox(data=tmp_path) as sandbox, Member(sandbox.url) as ada:
        found = await channels(ada)
        assert list(found)[:5] == ["pictures", "tips", "after-dark", "night", "corner"]
        assert (found["night"]["nsfw"], found["corner"]["nsfw"], found["tips"]["nsfw"]) == (True, True, False)
        assert "back-room" not in found


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("POST", "", {"member": "Ada"}, "“name” is missing"),
        ("POST", "", {"member": "Ada", "name": "x", "type": "voice"}, "type is one of text"),
        ("POST", "", {"member": "Linus", "name": "x", "guild": "Print Room"}, "Linus is in no server"),
        ("POST", "", {"member": "Ada", "name": "x", "type": "public_thread", "parent": "tips"}, "in a text channel"),
        ("POST", "", {"member": "Ada", "name": "x", "type": "public_thread", "members": 5}, "must be a list of texts"),
        ("PATCH", "/pictures", {"overwrites": 5}, "must be a list of objects"),
        ("PATCH", "/pictures", {"overwrites": [{"for": "Ada", "deny": -1}]}, "permission bits"),
        ("PATCH", "/pictures", {"name": ""}, "name can't be ''"),
        ("PATCH", "/pictures", {"colour": 1}, "no “colour”"),
        ("PATCH", "/pictures", {"nsfw": "yes"}, "nsfw can't be 'yes'"),
        ("PATCH", "/pictures", {"overwrites": [{"for": "nobody"}]}, "no member “nobody”"),
        ("PATCH", "/pictures", {"overwrites": [{"for": "Ada", "deny": "all"}]}, "permission bits"),
        ("DELETE", "/nowhere", None, "There is no channel “nowhere”"),
        ("PUT", "/pictures/members/Ada", None, "#pictures is no thread"),
    ],
)
async def test_wrong_changes_are_refused_in_one_sentence(
    ada: Member, method: str, path: str, body: Json | None, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        await ada._send(method, f"/sandbox/channels{path}", body)
