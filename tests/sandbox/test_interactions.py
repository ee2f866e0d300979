"""Answering interactions, with a bare bot: what may be said when, to whom, and until when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.client.member import Member, Refused, Reply
from sandbox.clock import ManualClock
from sandbox.server import Sandbox
from tests import openapi
from tests.sandbox.rawbot import IMAGINE, PICTURES, Gateway, RawBot

Json = dict[str, Any]
BUTTON = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}


@pytest.fixture
async def gateway(bot: RawBot) -> Gateway:
    await bot.register(IMAGINE)
    return await bot.login()


async def _asked(gateway: Gateway, ada: Member, text: str = "/imagine prompt:a red house") -> tuple[Json, Any]:
    """Return the interaction as the bot receives it, and the member's waiting call."""
    waiting = asyncio.create_task(ada.command(text))
    return (await gateway.event("INTERACTION_CREATE"))["d"], waiting


async def test_bot_receives_all_that_discord_sends(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    interaction, waiting = await _asked(gateway, ada, "/imagine prompt: a red house seed:7")
    assert interaction["type"] == 2
    assert interaction["data"]["options"] == [
        {"name": "prompt", "type": 3, "value": "a red house"},
        {"name": "seed", "type": 4, "value": 7},
    ]
    assert interaction["member"]["user"]["username"] == "ada"
    assert interaction["attachment_size_limit"] == 10 * 1024 * 1024
    assert interaction["channel"]["id"] == PICTURES
    assert None not in (interaction["entitlements"], interaction["authorizing_integration_owners"])
    await bot.respond(interaction, {"type": 4, "data": {"content": "here"}})
    assert (await waiting).message["content"] == "here"


async def test_first_answer_with_response(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    interaction, waiting = await _asked(gateway, ada)
    body = {"type": 4, "data": {"content": "now", "components": [BUTTON]}}
    status, answer = await bot.respond(interaction, body, query="?with_response=true")
    assert status == 200
    assert answer["resource"]["message"]["content"] == "now"
    assert answer["interaction"]["response_message_id"] == answer["resource"]["message"]["id"]
    message = (await waiting).message
    assert message["interaction_metadata"]["user"]["username"] == "ada"
    assert message["type"] == 20
    assert openapi.problems(await ada.log()) == []


async def test_deferred_answer_is_pending_until_edited(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    interaction, waiting = await _asked(gateway, ada)
    status, answer = await bot.respond(interaction, {"type": 5}, query="?with_response=1")
    assert (status, answer["interaction"]["response_message_loading"]) == (200, True)
    assert "resource" not in answer
    pending = (await ada.state())["messages"][-1]
    assert pending["pending"]
    assert pending["flags"] & 128
    assert not waiting.done()
    status, message = await bot.webhook("PATCH", interaction, "/messages/@original", {"content": "done"})
    assert (status, message["id"]) == (200, pending["id"])
    reply: Reply = await waiting
    assert (reply.state, reply.message["pending"], reply.message["content"]) == ("replied", False, "done")
    assert openapi.problems(await ada.log()) == []


async def test_first_follow_up_fills_the_deferred_answer_for_whom_it_was_promised(
    bot: RawBot, ada: Member, gateway: Gateway
) -> None:
    interaction, waiting = await _asked(gateway, ada)
    await bot.respond(interaction, {"type": 5, "data": {"flags": 64}})
    promised = (await ada.state())["messages"][-1]["id"]
    _, first = await bot.webhook("POST", interaction, body={"content": "one"})
    assert (first["id"], first["flags"] & 64) == (promised, 64)
    _, second = await bot.webhook("POST", interaction, body={"content": "two"})
    assert (second["id"] != promised, second["flags"] & 64) == (True, 0)
    await waiting


async def test_ephemeral_answers_are_for_the_one_who_asked(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    interaction, waiting = await _asked(gateway, ada)
    await bot.respond(interaction, {"type": 4, "data": {"content": "secret", "flags": 64}})
    message = (await waiting).message
    async with Member(bot.url, "Grace") as grace:
        assert (await grace.state())["messages"] == []
        with pytest.raises(Refused, match="no such message"):
            await grace.delete(message)
    assert (await bot.call("GET", f"/channels/{PICTURES}/messages/{message['id']}"))[0] == 404
    assert (await bot.call("GET", f"/channels/{PICTURES}/messages"))[1] == []
    assert (await bot.webhook("GET", interaction, "/messages/@original"))[0] == 200
    await ada.delete(message)
    assert (await ada.state())["messages"] == []
    assert (await bot.webhook("GET", interaction, "/messages/@original"))[1]["code"] == 10008


async def test_answering_twice_is_refused(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    interaction, waiting = await _asked(gateway, ada)
    await bot.respond(interaction, {"type": 4, "data": {"content": "one"}})
    status, error = await bot.respond(interaction, {"type": 4, "data": {"content": "two"}})
    assert (status, error["code"]) == (400, 40060)
    await waiting


async def test_answering_after_three_seconds_is_refused(
    bot: RawBot, ada: Member, gateway: Gateway, clock: ManualClock
) -> None:
    interaction, waiting = await _asked(gateway, ada)
    await clock.advance(3)
    reply: Reply = await waiting
    assert (reply.state, reply.failed_reason) == ("failed", "The application did not respond.")
    status, error = await bot.respond(interaction, {"type": 4, "data": {"content": "late"}})
    assert (status, error["code"]) == (404, 10062)


async def test_token_ends_after_fifteen_minutes(bot: RawBot, ada: Member, gateway: Gateway, clock: ManualClock) -> None:
    interaction, waiting = await _asked(gateway, ada)
    await bot.respond(interaction, {"type": 5})
    await clock.advance(3)
    await clock.advance(14 * 60)
    await clock.advance(60)
    reply: Reply = await waiting
    assert reply.state == "failed"
    status, error = await bot.webhook("PATCH", interaction, "/messages/@original", {"content": "late"})
    assert (status, error["code"]) == (401, 50027)


async def test_follow_up_before_the_first_answer_is_refused(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    interaction, waiting = await _asked(gateway, ada)
    assert (await bot.webhook("POST", interaction, body={"content": "x"}))[1]["code"] == 10015
    await bot.respond(interaction, {"type": 4, "data": {"content": "x"}})
    await waiting


async def test_refused_answer_does_not_count(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    interaction, waiting = await _asked(gateway, ada)
    status, error = await bot.respond(interaction, {"type": 4, "data": {"content": "x" * 2001}})
    assert (status, error["code"]) == (400, 50035)
    assert "content" in error["errors"]["data"]
    status, error = await bot.respond(interaction, {"type": 7, "data": {"content": "x"}})
    assert (status, "type" in error["errors"]) == (400, True)
    assert (await bot.respond(interaction, {"type": 4, "data": {"content": "x"}}))[0] == 204
    await waiting


async def _with_button(bot: RawBot, ada: Member, gateway: Gateway) -> Json:
    interaction, waiting = await _asked(gateway, ada)
    await bot.respond(interaction, {"type": 4, "data": {"content": "press", "components": [BUTTON]}})
    return dict((await waiting).message)


async def test_button_updates_its_message(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    message = await _with_button(bot, ada, gateway)
    waiting = asyncio.create_task(ada.click(message, "Go"))
    interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
    assert (interaction["type"], interaction["data"]["custom_id"]) == (3, "go")
    assert interaction["message"]["id"] == message["id"]
    await bot.respond(interaction, {"type": 7, "data": {"content": "pressed", "components": []}})
    changed = (await waiting).message
    assert (changed["id"], changed["content"], changed["components"]) == (message["id"], "pressed", [])
    assert changed["edited_timestamp"]


@pytest.mark.parametrize("through_channel", [True, False])
async def test_button_acknowledged_without_words_is_answered_by_an_edit(
    bot: RawBot, ada: Member, gateway: Gateway, through_channel: bool
) -> None:
    message = await _with_button(bot, ada, gateway)
    waiting = asyncio.create_task(ada.click(message, "go"))
    interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
    await bot.respond(interaction, {"type": 6})
    body = {"content": "later"}
    if through_channel:
        await bot.call("PATCH", f"/channels/{PICTURES}/messages/{message['id']}", body)
    else:
        await bot.webhook("PATCH", interaction, "/messages/@original", body)
    assert (await waiting).message["content"] == "later"


MODAL = {
    "title": "Edit",
    "custom_id": "edit",
    "components": [
        {"type": 1, "components": [{"type": 4, "custom_id": "prompt", "label": "Prompt", "style": 2, "max_length": 9}]},
        {
            "type": 18,
            "label": "Colours",
            "component": {
                "type": 3,
                "custom_id": "colours",
                "max_values": 2,
                "required": False,
                "options": [{"label": "Red", "value": "r"}, {"label": "Blue", "value": "b"}],
            },
        },
        {"type": 18, "label": "Agreed", "component": {"type": 23, "custom_id": "agreed"}},
        {"type": 18, "label": "Picture", "component": {"type": 19, "custom_id": "file", "required": False}},
    ],
}


async def test_form_is_opened_filled_and_submitted_once(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    message = await _with_button(bot, ada, gateway)
    waiting = asyncio.create_task(ada.click(message, "go"))
    opened_by = (await gateway.event("INTERACTION_CREATE"))["d"]
    assert (await bot.respond(opened_by, {"type": 9, "data": MODAL}))[0] == 204
    opened: Reply = await waiting
    assert opened.modal is not None
    assert opened.modal["title"] == "Edit"
    refused: list[tuple[Json, str]] = [
        ({"prompt": "much too long"}, "at most 9"),
        ({}, "is required"),
        ({"prompt": "x", "colours": ["g"]}, "offers no"),
        ({"prompt": "x", "size": 1}, "no field"),
    ]
    for values, sentence in refused:
        with pytest.raises(Refused, match=sentence):
            await ada.submit(opened, values)
    submitting = asyncio.create_task(
        ada.submit(
            opened, {"prompt": "a cat", "colours": ["r", "b"], "agreed": True}, files={"file": [("a.txt", b"a")]}
        )
    )
    interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
    first, second, third, fourth = interaction["data"]["components"]
    assert first["components"][0]["value"] == "a cat"
    assert second["component"]["values"] == ["r", "b"]
    assert third["component"]["value"] is True
    assert fourth["component"]["values"] == list(interaction["data"]["resolved"]["attachments"])
    assert (interaction["type"], interaction["message"]["id"]) == (5, message["id"])
    assert (await bot.respond(interaction, {"type": 9, "data": MODAL}))[1]["code"] == 50035
    await bot.respond(interaction, {"type": 4, "data": {"content": "thanks"}})
    made = (await submitting).message
    assert made["interaction_metadata"]["triggering_interaction_metadata"]["id"] == opened_by["id"]
    with pytest.raises(Refused, match="already"):
        await ada.submit(opened, {"prompt": "again"})
    flawed = [entry for entry in await ada.log() if entry["status"] == 400]
    assert [entry["request"]["type"] for entry in flawed] == [9]
    assert openapi.problems(entry for entry in await ada.log() if entry not in flawed) == []


async def test_autocompletion_returns_the_bots_choices(bot: RawBot, ada: Member, gateway: Gateway) -> None:
    waiting = asyncio.create_task(ada.complete("imagine", "model", model="st", seed="x"))
    interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
    assert interaction["type"] == 4
    assert {"name": "model", "type": 3, "value": "st", "focused": True} in interaction["data"]["options"]
    too_many = [{"name": str(number), "value": "x"} for number in range(26)]
    assert (await bot.respond(interaction, {"type": 8, "data": {"choices": too_many}}))[0] == 400
    choices = [{"name": "Starter", "value": "starter"}]
    assert (await bot.respond(interaction, {"type": 8, "data": {"choices": choices}}))[0] == 204
    assert await waiting == choices


async def test_tokens_stay_valid_when_the_sandbox_restarts(tmp_path: Any) -> None:
    async with Sandbox(data=tmp_path) as sandbox, RawBot(sandbox.url) as bot, Member(sandbox.url) as ada:
        await bot.register(IMAGINE)
        gateway = await bot.login()
        interaction, waiting = await _asked(gateway, ada)
        await bot.respond(interaction, {"type": 5})
        waiting.cancel()
    async with Sandbox(data=tmp_path) as sandbox, RawBot(sandbox.url) as bot, Member(sandbox.url) as ada:
        assert [command["name"] for command in (await ada.state())["commands"]] == ["imagine"]
        status, _ = await bot.webhook("PATCH", interaction, "/messages/@original", {"content": "x"}, {"a.png": b"a"})
        assert status == 200
        message = (await ada.state())["messages"][0]
        assert (message["content"], message["pending"]) == ("x", False)
        assert await ada.files(message) == [("a.png", b"a")]


async def test_modified_client_can_press_and_submit_what_nobody_offered(
    bot: RawBot, ada: Member, gateway: Gateway
) -> None:
    message = await _with_button(bot, ada, gateway)
    async with Member(bot.url, "Linus") as linus:
        with pytest.raises(Refused, match="no component with the custom_id “cancel:7”"):
            body = {"member": "Linus", "message_id": message["id"], "custom_id": "cancel:7"}
            await linus._post("/sandbox/components", body)
        for forging, kind in (
            (linus.forge_click(message, "cancel:7"), 3),
            (linus.forge_click(message, "choose:7", ["x"]), 3),
            (linus.forge_modal("edit:7", {"prompt": "mine now", "colours": ["r"]}, message=message), 5),
            (linus.forge_modal("edit:7", {}), 5),
        ):
            waiting = asyncio.create_task(forging)
            interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
            assert (interaction["type"], interaction["member"]["user"]["username"]) == (kind, "linus")
            await bot.respond(interaction, {"type": 4, "data": {"content": "no", "flags": 64}})
            assert (await waiting).message["content"] == "no"
        assert (interaction["data"], "message" in interaction) == ({"custom_id": "edit:7", "components": []}, False)
        waiting = asyncio.create_task(linus.forge_modal("edit:7", {"prompt": "mine"}, message=message))
        interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
        assert interaction["message"]["id"] == message["id"]
        (label,) = interaction["data"]["components"]
        assert (label["component"]["custom_id"], label["component"]["value"]) == ("prompt", "mine")
        await bot.respond(interaction, {"type": 7, "data": {"content": "changed"}})
        await waiting
    async with Member(bot.url, "Hedy") as hedy:
        with pytest.raises(Refused, match="no such message"):
            await hedy.forge_click(message, "cancel:7")
