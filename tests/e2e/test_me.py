"""/me and /help: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3

import pytest

from sandbox.client.member import Json, Member, buttons_of, text_of
from sandbox.community.beginning import ADA_ID, PICTURES_ID
from sandbox.limits.components import walk
from tests.e2e.asking import QUICK, finished, has_button, is_private, number, painted
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def panel(member: Member, command: str) -> Json:
    """What a command shows to its member alone."""
    reply = await member.command(command)
    assert is_private(reply)
    return reply.message


async def used(member: Member, message: Json, action: str, *values: str) -> Json:
    """A panel after something of it was used."""
    await member.click(message, f"easel:new:{action}:", list(values) or None, until="acknowledged")
    return await member.wait_for(message, lambda now: now["revision"] > message["revision"])


def request_of(studio: Studio, job: int) -> str:
    """What a job asks for, as it is kept."""
    with contextlib.closing(sqlite3.connect(studio.data / "easel.sqlite3")) as database:
        [[request]] = database.execute("SELECT request FROM job WHERE id = ?", (job,)).fetchall()
    return str(request)


async def filled(member: Member, message: Json, **fields: str) -> str:
    """What is said when the form of defaults is sent."""
    form = await member.click(message, "easel:new:medefaults:")
    reply = await member.submit(form, fields, until="acknowledged")
    said = (await member.settled(reply, quiet_s=0.5)).messages
    private = [text_of(one) for one in said if one["id"] != message["id"]]
    return private[0] if private else ""


async def test_defaults_hold_where_a_command_says_nothing_and_survive_a_restart(studio: Studio, ada: Member) -> None:
    home = await panel(ada, "/me")
    assert "as the server and the model have it" in text_of(home)
    wanted = {"model": "starter", "size": "48x64", "style": "watercolour", "negative": "fog and rain"}
    assert await filled(ada, home, **wanted) == ""
    await studio.stop()
    await studio.start()
    home = await panel(ada, "/me")
    for said in ("starter", "48x64", "watercolour", "fog and rain"):
        assert said in text_of(home)
    own, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:5"))
    assert "48x64" in text_of(own)
    request = request_of(studio, number(own))
    assert '"negative":"fog and rain"' in request
    assert '"name":"watercolour"' in request
    none = "width:32 height:32 style:none negative:none"
    said, _ = await painted(
        ada,
        await ada.command(f"/imagine prompt:a red house {QUICK} seed:5 {none}"),
    )
    assert "32x32" in text_of(said)
    request = request_of(studio, number(said))
    assert "watercolour" not in request
    assert "fog" not in request
    # A size that no model of this machine paints gives way.
    assert await filled(ada, home, size="9999x9999") == ""
    way, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:6"))
    assert "9999" not in text_of(way)
    for wrong in ({"size": "wide"}, {"style": "unheard of"}, {"model": "unheard-of"}):
        assert await filled(ada, home, **wrong)
    assert "9999x9999" in text_of(await panel(ada, "/me")), "what is wrong changes nothing"
    home = await used(ada, await panel(ada, "/me"), "mereset")
    assert "9999" not in text_of(home)


async def test_language_is_spoken_at_once(ada: Member) -> None:
    home = await used(ada, await panel(ada, "/me"), "melanguage", "zh-CN")
    reply = await ada.command(f"/imagine prompt:a red house {QUICK} seed:9")
    await ada.wait_for(reply.message, lambda message: has_button(message, "删除"), timeout_s=120)
    await used(ada, home, "melanguage", "-")


async def test_examples_of_the_help_work_as_they_are_typed(ada: Member) -> None:
    await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:11"))
    home = await panel(ada, "/help")
    [menu] = [one for one in walk(home["components"]) if one["type"] == 3]
    typed: list[str] = []
    for topic in (option["value"] for option in menu["options"]):
        home = await used(ada, home, "help", topic) if topic != "paint" else home
        typed += re.findall("`(/[^`]+)`", text_of(home))
    assert len(typed) >= 14
    for example in typed:
        reply = await ada.command(example)
        if is_private(reply):
            shown = await ada.wait_for(reply.message, lambda message: message["components"])
            assert buttons_of(shown) or text_of(shown), example
        else:
            assert not has_button(await finished(ada, reply), "Try again"), example


async def test_who_waited_long_is_told_once(studio: Studio, ada: Member) -> None:
    home = await used(ada, await panel(ada, "/me"), "meping", "channel:5")
    card = await ada.command("/imagine prompt:a red house steps:50 count:4")
    await ada.wait_for(card.message, lambda message: "▰" in text_of(message))
    with contextlib.closing(sqlite3.connect(studio.data / "easel.sqlite3")) as database, database:
        # Six minutes ago.
        database.execute("UPDATE job SET created_at = created_at - 360 WHERE id = ?", (number(card.message),))
    await finished(ada, card)

    async def sent() -> list[Json]:
        log = await ada.log()
        return [one for one in log if f"#{number(card.message)} is finished" in str(one["request"])]

    async with asyncio.timeout(30):
        while not await sent():  # noqa: ASYNC110 — nobody else tells of it
            await asyncio.sleep(0.1)
    await studio.stop()
    await studio.start()
    [told] = await sent()
    said = told["request"]["content"]
    assert said.startswith(f"<@{ADA_ID}> ")
    assert said.endswith(f"/{PICTURES_ID}/{card.message['id']}")
    assert list(map(str, told["request"]["allowed_mentions"]["users"])) == [str(ADA_ID)]
    await used(ada, home, "meping", "-")
