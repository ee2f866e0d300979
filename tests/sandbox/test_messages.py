"""What Discord accepts as a message and what it refuses, with its own codes."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from sandbox.client.member import Member, Refused, media_of
from sandbox.clock import ManualClock
from sandbox.server import Sandbox
from sandbox.storage.attachments import safe_filename
from tests import openapi
from tests.sandbox.rawbot import APPLICATION, GUILD, PICTURES, RawBot

Json = dict[str, Any]


def row(*components: Json) -> Json:
    return {"type": 1, "components": list(components)}


def button(custom_id: str = "a", **more: Any) -> Json:
    return {"type": 2, "style": 1, "label": "Press", "custom_id": custom_id, **more}


def select(**more: Any) -> Json:
    return {"type": 3, "custom_id": "s", "options": [{"label": "One", "value": "1"}], **more}


def errors_at(body: Json, *path: str) -> list[str]:
    """Return the codes that stand at a place of a nested error."""
    place = body["errors"]
    for part in path:
        place = place[part]
    return [error["code"] for error in place["_errors"]]


async def test_message_is_sent_read_changed_listed_and_deleted(bot: RawBot, ada: Member) -> None:
    status, sent = await bot.send({"content": "hello <@1100000000000000101>", "components": [row(button())]})
    assert status == 200
    assert sent["mentions"][0]["username"] == "ada"
    assert sent["components"][0]["id"] == 1
    assert sent["components"][0]["components"][0]["id"] == 2
    path = f"/channels/{PICTURES}/messages/{sent['id']}"
    assert (await bot.call("GET", path))[1] == sent
    status, edited = await bot.call("PATCH", path, {"embeds": [{"title": "T"}]})
    assert (edited["content"], edited["embeds"]) == (sent["content"], [{"type": "rich", "title": "T"}])
    assert edited["edited_timestamp"]
    _, reply = await bot.send({"content": "re", "message_reference": {"message_id": sent["id"]}})
    assert reply["referenced_message"]["id"] == sent["id"]
    assert [one["id"] for one in (await bot.call("GET", f"/channels/{PICTURES}/messages"))[1]] == [
        reply["id"],
        sent["id"],
    ]
    older = await bot.call("GET", f"/channels/{PICTURES}/messages?before={reply['id']}&limit=1")
    assert [one["id"] for one in older[1]] == [sent["id"]]
    assert (await bot.call("DELETE", path))[0] == 204
    assert (await bot.call("GET", path))[1] == {"message": "Unknown Message", "code": 10008}
    assert openapi.problems(await ada.log()) == []


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"content": "x" * 2001}, ["content"], "BASE_TYPE_MAX_LENGTH"),
        ({"content": ["x"]}, ["content"], "STRING_TYPE_CONVERT"),
        ({"embeds": [{}] * 11}, ["embeds"], "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"title": "x" * 257}]}, ["embeds", "0", "title"], "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"description": "x" * 4097}]}, ["embeds", "0", "description"], "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"description": "x" * 3001}] * 2}, ["embeds"], "MAX_EMBED_SIZE_EXCEEDED"),
        ({"embeds": [{"fields": [{"name": "n"}]}]}, ["embeds", "0", "fields", "0", "value"], "BASE_TYPE_REQUIRED"),
        ({"embeds": [{"color": 2**24}]}, ["embeds", "0", "color"], "NUMBER_TYPE_MAX"),
        ({"embeds": [{"timestamp": "noon"}]}, ["embeds", "0", "timestamp"], "DATE_TIME_TYPE_PARSE"),
        ({"embeds": [{"url": "ftp://a"}]}, ["embeds", "0", "url"], "URL_TYPE_INVALID_SCHEME"),
        (
            {"embeds": [{"image": {"url": "attachment://a.png"}}]},
            ["embeds", "0", "image", "url"],
            "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
        ),
        ({"components": [row(button())] * 6}, ["components"], "BASE_TYPE_MAX_LENGTH"),
        ({"components": [button()]}, ["components", "0", "type"], "UNION_TYPE_CHOICES"),
        (
            {"components": [row(*(button(str(n)) for n in range(6)))]},
            ["components", "0", "components"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"components": [row(button(), button())]},
            ["components", "0", "components", "1", "custom_id"],
            "COMPONENT_CUSTOM_ID_DUPLICATED",
        ),
        (
            {"components": [row(button("x" * 101))]},
            ["components", "0", "components", "0", "custom_id"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"components": [row(button(label="x" * 81))]},
            ["components", "0", "components", "0", "label"],
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"components": [row(button(url="https://a.org"))]},
            ["components", "0", "components", "0"],
            "BUTTON_COMPONENT_CUSTOM_ID_AND_URL",
        ),
        (
            {"components": [row({"type": 2, "style": 5, "label": "x"})]},
            ["components", "0", "components", "0", "url"],
            "BASE_TYPE_REQUIRED",
        ),
        (
            {"components": [row(button(emoji={"name": "smile"}))]},
            ["components", "0", "components", "0", "emoji", "name"],
            "COMPONENT_INVALID_EMOJI",
        ),
        (
            {"components": [row(button(), select())]},
            ["components", "0", "components"],
            "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
        ),
        (
            {"components": [row(select(options=[{"label": "a", "value": "a"}] * 26))]},
            ["components", "0", "components", "0", "options"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        ({"attachments": [{"id": 3}]}, ["attachments", "0"], "ATTACHMENT_NOT_FOUND"),
        (
            {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
            ["allowed_mentions"],
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
        ({"content": "x", "message_reference": {"message_id": "1"}}, ["message_reference"], "REPLIES_UNKNOWN_MESSAGE"),
    ],
)
async def test_form_errors_name_the_field(bot: RawBot, body: Json, path: list[str], code: str) -> None:
    status, error = await bot.send(body)
    assert (status, error["code"], error["message"]) == (400, 50035, "Invalid Form Body")
    assert code in errors_at(error, *path)


@pytest.mark.parametrize("body", [{}, {"content": " "}, {"embeds": [{}]}, {"flags": 32768, "components": []}])
async def test_empty_messages_are_refused(bot: RawBot, body: Json) -> None:
    assert (await bot.send(body))[1] == {"message": "Cannot send an empty message", "code": 50006}


async def test_message_that_is_sent_again_with_its_nonce_is_made_once(
    bot: RawBot, ada: Member, sandbox: Sandbox
) -> None:
    body = {"content": "once", "nonce": "easel-7", "enforce_nonce": True}
    first, again = (await bot.send(body))[1], (await bot.send(body))[1]
    assert again == first
    assert (await bot.send({"content": "twice", "nonce": "easel-7"}))[1]["id"] != first["id"]
    await ada.advance(10 * 60.0)
    assert (await bot.send(body))[1]["id"] != first["id"]


async def test_message_cannot_be_edited_to_nothing(bot: RawBot) -> None:
    _, sent = await bot.send({"content": "x"})
    status, error = await bot.call("PATCH", f"/channels/{PICTURES}/messages/{sent['id']}", {"content": None})
    assert (status, error["code"]) == (400, 50006)


async def test_attachments_are_kept_by_id_and_added_by_index(bot: RawBot, ada: Member) -> None:
    body = {"attachments": [{"id": 0, "description": "first"}, {"id": "1"}]}
    status, sent = await bot.send(body, {"a b ü.png": b"a", "b.png": b"b"})
    assert [one["filename"] for one in sent["attachments"]] == ["a_b_.png", "b.png"]
    assert sent["attachments"][0]["description"] == "first"
    kept = sent["attachments"][1]["id"]
    path = f"/channels/{PICTURES}/messages/{sent['id']}"
    _, edited = await bot.call("PATCH", path, {"attachments": [{"id": kept}, {"id": 0}]}, {"c.png": b"c"})
    assert await ada.files(edited) == [("b.png", b"b"), ("c.png", b"c")]
    _, untouched = await bot.call("PATCH", path, {"content": "x"})
    assert [one["id"] for one in untouched["attachments"]] == [one["id"] for one in edited["attachments"]]
    _, cleared = await bot.call("PATCH", path, {"attachments": []})
    assert cleared["attachments"] == []
    assert status == 200
    assert openapi.problems(await ada.log()) == []


async def test_files_beyond_the_limits_are_refused(bot: RawBot, ada: Member) -> None:
    await ada.faults(attachment_size_limit=10)
    assert await bot.send({}, {"a": b"x" * 11}) == (413, {"message": "Request entity too large", "code": 40005})
    assert (await bot.send({}, {"a": b"x" * 10}))[0] == 200
    status, error = await bot.send({}, {str(number): b"x" for number in range(11)})
    assert (status, errors_at(error, "attachments")) == (400, ["BASE_TYPE_MAX_LENGTH"])


async def test_picture_in_an_embed_is_not_listed_again(bot: RawBot, ada: Member) -> None:
    body = {"embeds": [{"image": {"url": "attachment://a.png"}}]}
    _, sent = await bot.send(body, {"a.png": b"pixels"})
    assert sent["attachments"] == []
    assert sent["embeds"][0]["image"]["url"].startswith(bot.url)
    assert await ada.pictures(sent) == [b"pixels"]
    path = f"/channels/{PICTURES}/messages/{sent['id']}"
    _, edited = await bot.call("PATCH", path, {"content": "more", "embeds": sent["embeds"]})
    assert await ada.pictures(edited) == [b"pixels"]


V2 = 32768
EVERYTHING: list[Json] = [
    {
        "type": 17,
        "accent_color": 255,
        "components": [
            {"type": 10, "content": "# Title"},
            {"type": 9, "components": [{"type": 10, "content": "x"}], "accessory": button("in section")},
            {
                "type": 9,
                "components": [{"type": 10, "content": "y"}],
                "accessory": {"type": 11, "media": {"url": "attachment://a.png"}},
            },
            {"type": 14},
            {"type": 12, "items": [{"media": {"url": "attachment://a.png"}, "description": "A"}]},
            {"type": 13, "file": {"url": "attachment://b.txt"}},
            row(button("in row"), {"type": 2, "style": 5, "label": "Link", "url": "https://example.org"}),
        ],
    },
    row(select()),
]


async def test_components_v2_are_numbered_and_their_files_resolved(bot: RawBot, ada: Member) -> None:
    status, sent = await bot.send({"flags": V2, "components": EVERYTHING}, {"a.png": b"a", "b.txt": b"text"})
    assert status == 200, sent
    assert sent["attachments"] == []
    container = sent["components"][0]
    gallery, file = container["components"][4], container["components"][5]
    assert gallery["items"][0]["media"]["content_type"] == "image/png"
    assert (file["name"], file["size"]) == ("b.txt", 4)
    assert [component["id"] for component in container["components"]] == [2, 3, 6, 9, 10, 11, 12]
    assert len({media["url"] for media in media_of(sent)}) == 2
    path = f"/channels/{PICTURES}/messages/{sent['id']}"
    attachment = gallery["items"][0]["media"]["attachment_id"]
    components = [{"type": 12, "items": [{"media": {"url": "attachment://a.png"}}]}]
    body = {"components": components, "attachments": [{"id": attachment}]}
    status, edited = await bot.call("PATCH", path, body)
    assert status == 200, edited
    assert edited["flags"] & V2
    assert await ada.pictures(edited) == [b"a"]
    assert openapi.problems(await ada.log()) == []


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        (
            {"content": "x", "components": [{"type": 10, "content": "x"}]},
            ["content"],
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
        ),
        (
            {"components": [{"type": 10, "content": "x"}], "embeds": [{"title": "x"}]},
            ["embeds"],
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
        ),
        (
            {
                "components": [
                    {"type": 17, "components": [{"type": 14}] * 20},
                    {"type": 17, "components": [{"type": 14}] * 19},
                ]
            },
            ["components"],
            "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
        ),
        (
            {"components": [{"type": 10, "content": "x" * 2001}, {"type": 10, "content": "x" * 2000}]},
            ["components"],
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
        ),
        (
            {"components": [{"type": 12, "items": [{"media": {"url": "https://a.org/a.png"}}] * 11}]},
            ["components", "0", "items"],
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"components": [{"type": 12, "items": [{"media": {"url": "attachment://no.png"}}]}]},
            ["components", "0", "items", "0", "media", "url"],
            "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
        ),
        (
            {"components": [{"type": 13, "file": {"url": "https://a.org/a.png"}}]},
            ["components", "0", "file", "url"],
            "URL_TYPE_INVALID_SCHEME",
        ),
        (
            {"components": [{"type": 9, "components": [{"type": 10, "content": "x"}]}]},
            ["components", "0", "accessory"],
            "BASE_TYPE_REQUIRED",
        ),
        (
            {"components": [{"type": 17, "components": [{"type": 17, "components": []}]}]},
            ["components", "0", "components", "0", "type"],
            "UNION_TYPE_CHOICES",
        ),
        (
            {"components": [{"type": 10, "content": "x", "id": 5}, {"type": 10, "content": "x", "id": 5}]},
            ["components", "1", "id"],
            "COMPONENT_ID_DUPLICATED",
        ),
    ],
)
async def test_components_v2_limits(bot: RawBot, body: Json, path: list[str], code: str) -> None:
    status, error = await bot.send({"flags": V2, **body})
    assert status == 400
    assert code in errors_at(error, *path)


async def test_components_v2_need_their_flag(bot: RawBot) -> None:
    status, error = await bot.send({"content": "x", "components": [{"type": 10, "content": "x"}]})
    assert (status, errors_at(error, "components", "0", "type")) == (400, ["UNION_TYPE_CHOICES"])


async def test_turning_to_components_v2_needs_the_old_content_removed(bot: RawBot) -> None:
    _, sent = await bot.send({"content": "x"})
    path = f"/channels/{PICTURES}/messages/{sent['id']}"
    body = {"flags": V2, "components": [{"type": 10, "content": "new"}]}
    status, error = await bot.call("PATCH", path, body)
    assert (status, error["code"]) == (400, 50035)
    assert (await bot.call("PATCH", path, body | {"content": None, "embeds": []}))[0] == 200


async def test_rights_decide_what_a_bot_may_do(bot: RawBot, ada: Member) -> None:
    theirs = await ada.write("mine")
    path = f"/channels/{PICTURES}/messages/{theirs['id']}"
    assert (await bot.call("PATCH", path, {"content": "x"}))[1]["code"] == 50005
    assert (await bot.call("DELETE", path))[1]["code"] == 50013
    await ada.faults(bot_permissions="0")
    assert (await bot.send({"content": "x"}))[1] == {"message": "Missing Access", "code": 50001}
    await ada.faults(bot_permissions=str(1 << 10))
    assert (await bot.send({"content": "x"}))[1]["code"] == 50013
    await ada.faults(bot_permissions=str(1 << 10 | 1 << 13))
    assert (await bot.call("DELETE", path))[0] == 204


async def test_direct_messages(bot: RawBot, ada: Member) -> None:
    _, channel = await bot.call("POST", "/users/@me/channels", {"recipient_id": "1100000000000000101"})
    status, sent = await bot.call("POST", f"/channels/{channel['id']}/messages", {"content": "psst"})
    assert status == 200
    assert [one["content"] for one in (await ada.state())["messages"]] == ["psst"]
    async with Member(bot.url, "Grace") as grace:
        assert (await grace.state())["messages"] == []
    assert openapi.problems(await ada.log()) == []
    assert sent["channel_id"] == channel["id"]


async def test_wrong_requests_get_discords_own_errors(sandbox: Sandbox, bot: RawBot) -> None:
    assert await bot.call("GET", "/nowhere") == (404, {"message": "404: Not Found", "code": 0})
    assert await bot.call("PUT", "/users/@me") == (405, {"message": "405: Method Not Allowed", "code": 0})
    assert (await bot.call("GET", "/users/@me"))[0] == 200
    assert bot.headers["Content-Type"] == "application/json"
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset-After", "X-RateLimit-Bucket"} <= set(
        bot.headers
    )
    assert (await bot.send({"content": "x"}, None))[0] == 200
    not_json = {"data": b"{", "headers": {"Content-Type": "application/json"}}
    assert (await bot.call("POST", f"/channels/{PICTURES}/messages", **not_json))[1]["code"] == 50109
    no_type = {"data": b"{}", "headers": {"Content-Type": "text/plain"}}
    status, error = await bot.call("POST", f"/channels/{PICTURES}/messages", **no_type)
    assert (status, errors_at(error)) == (400, ["CONTENT_TYPE_INVALID"])
    assert (await bot.call("GET", "/users/@me", headers={"User-Agent": "curl"}))[0] == 403
    for token in ("", "any"):
        async with RawBot(sandbox.url, token) as stranger:
            assert await stranger.call("GET", "/users/@me") == (401, {"message": "401: Unauthorized", "code": 0})
    async with aiohttp.ClientSession() as http, http.get(f"{sandbox.url}/api/v3/gateway") as response:
        assert (await response.json())["code"] == 50041


async def test_fifty_requests_a_second_are_allowed_in_all_and_answers_to_members_are_free(
    bot: RawBot, ada: Member, clock: ManualClock
) -> None:
    await ada.faults(rate_limits=True)
    answers = [await bot.call("GET", f"/users/{number}") for number in range(51)]
    assert [status for status, _ in answers] == [404] * 50 + [429]
    assert (answers[-1][1]["global"], bot.headers["X-RateLimit-Scope"]) == (True, "global")
    assert (await bot.call("PATCH", f"/webhooks/{APPLICATION}/x/messages/@original", {}))[0] == 401
    async with aiohttp.ClientSession(bot.url) as http:

        async def invalid() -> int:
            async with http.get("/sandbox/log") as response:
                return int((await response.json())["invalid_requests"])

        assert await invalid() == 2
        await clock.advance(1)
        assert (await bot.call("GET", "/users/@me"))[0] == 200
        await clock.advance(600)
        assert await invalid() == 0
    assert openapi.problems(await ada.log()) == []


async def test_rate_limits_can_be_switched_on(bot: RawBot, ada: Member) -> None:
    await ada.faults(rate_limits=True)
    answers = [await bot.send({"content": "x"}) for _ in range(6)]
    assert [status for status, _ in answers] == [200] * 5 + [429]
    assert answers[-1][1]["retry_after"] > 0
    assert {"Via", "Retry-After", "X-RateLimit-Scope"} <= set(bot.headers)
    assert openapi.problems(await ada.log()) == []


async def test_planned_failures_have_no_effect_and_end(bot: RawBot, ada: Member) -> None:
    await ada.faults(fail_next={"method": "POST", "route": "/channels/{}/messages", "status": 503, "times": 1})
    assert (await bot.send({"content": "x"}))[0] == 503
    assert (await ada.state())["messages"] == []
    assert (await bot.send({"content": "x"}))[0] == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("画.png", "unknown.png"),
        ("a picture.of me.JPG", "a_picture.of_me.JPG"),
        ("naïve.webp", "nave.webp"),
        ("画", "unknown"),
        ("../../etc/passwd", "etcpasswd"),
        ("....png", "unknown.png"),
        ("x" * 200 + ".png", "x" * 146 + ".png"),
        (".png.", "png"),
        ("a.画", "a"),
    ],
)
def test_uploaded_files_keep_their_extension(given: str, kept: str) -> None:
    assert safe_filename(given) == kept
    assert safe_filename(kept) == kept


async def test_file_without_an_ascii_name_can_be_fetched(bot: RawBot, ada: Member) -> None:
    message = await ada.write("look", ("画.png", b"x"))
    assert message["attachments"][0]["content_type"] == "image/png"
    assert await ada.files(message) == [("unknown.png", b"x")]


async def test_forwarded_message_holds_a_copy_of_what_it_forwards(sandbox: Sandbox, bot: RawBot, ada: Member) -> None:
    gallery = {"type": 12, "items": [{"media": {"url": "attachment://a.png"}}]}
    _, sent = await bot.call(
        "POST",
        f"/channels/{PICTURES}/messages",
        {"flags": 1 << 15, "components": [{"type": 10, "content": "hello"}, gallery]},
        files={"a.png": b"the picture"},
    )
    forwarded = await ada.forward(sent, channel="general")
    assert (forwarded["content"], forwarded["attachments"], forwarded["flags"]) == ("", [], 1 << 14)
    assert forwarded["message_reference"] == {
        "type": 1,
        "channel_id": PICTURES,
        "message_id": sent["id"],
        "guild_id": GUILD,
    }
    [snapshot] = forwarded["message_snapshots"]
    assert snapshot["message"]["components"][0] == sent["components"][0]
    assert snapshot["message"]["timestamp"] == sent["timestamp"]
    # It stays when the original goes.
    await bot.call("DELETE", f"/channels/{PICTURES}/messages/{sent['id']}")
    await ada.advance(3600)
    assert await ada.files(forwarded) == [("a.png", b"the picture")]
    again = await ada.forward(forwarded)
    assert again["message_reference"]["message_id"] == sent["id"]
    status, read = await bot.call("GET", f"/channels/{PICTURES}/messages/{again['id']}")
    assert (status, read["message_snapshots"][0]["message"]["flags"]) == (200, 1 << 15)
    assert openapi.problems(await ada.log()) == []


async def test_another_app_sends_what_discord_takes(ada: Member) -> None:
    embed = {"title": "T", "image": {"url": "attachment://a.png"}}
    sent = await ada.post_as_app({"content": "look", "embeds": [embed]}, ("a.png", b"x"))
    assert (sent["author"]["username"], sent["author"]["bot"]) == ("Palette", True)
    assert "application_id" not in sent
    assert sent["embeds"][0]["image"]["url"].startswith(ada._url)
    with pytest.raises(Refused):
        await ada.post_as_app({"content": "look", "flags": 1 << 15})
