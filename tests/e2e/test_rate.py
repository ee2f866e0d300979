"""/rate from the buttons to /stats: real bot, real engine, two models, members who speak two languages."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.sources import NOT_SEEN
from bot.words import say, speaking
from sandbox.client.member import Json, Member, buttons_of, text_of
from sandbox.limits.components import walk
from tests.e2e.asking import QUICK, finished, gone, is_private, number, painted
from tests.e2e.conftest import ROOT, Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """With a second model, the same under another name, and what was measured of it."""
    folder: Path = tmp_path_factory.mktemp("rate")
    catalogue = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    [starter] = re.findall(r"^\[models\.starter\]\n(?:[^\n]+\n)+", catalogue, re.MULTILINE)
    second = starter.replace("[models.starter]", "[models.second]")
    (folder / "models.toml").write_text(f"{catalogue}\n{second}")
    (folder / "styles.toml").write_text((ROOT / "styles.toml").read_text())
    report = folder / "data" / "quality" / "second" / "figures.json"
    report.parent.mkdir(parents=True)
    figures = [{"name": "CLIP score", "n": 40, "value": 0.321, "error": 0.01, "comparable": True}]
    told = {"date": "2026-11-30", "model": "second", "prompts": "easel-1", "figures": figures}
    report.write_text(json.dumps(told))
    async with running(folder / "data", EASEL_MODELS=str(folder / "models.toml")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def mei(studio: Studio) -> AsyncIterator[Member]:
    async with Member(studio.sandbox.url, "Mei") as member:
        yield member


@pytest_asyncio.fixture(loop_scope="module")
async def barbara(studio: Studio) -> AsyncIterator[Member]:
    async with Member(studio.sandbox.url, "Barbara") as member:
        yield member


async def opened(member: Member, message: Json) -> Json:
    """The page that the button under a job's pictures opens, for this member alone."""
    [custom_id] = [one["custom_id"] for one in buttons_of(message) if one["custom_id"].startswith("easel:rate:")]
    reply = await member.click(message, custom_id)
    assert is_private(reply)
    return reply.message


async def chosen(member: Member, page: Json, action: str, *values: str) -> Json:
    """The page after these options of its menu were chosen."""
    reply = await member.click(page, f"easel:new:{action}", [*values], until="acknowledged")
    await member.settled(reply, quiet_s=0.2)
    return await member.wait_for(page, lambda _: True)


def selected(page: Json) -> dict[str, str]:
    """What the menus of a page show as chosen."""
    menus = [one for one in walk(page["components"]) if one.get("type") == 3]
    return {
        menu["custom_id"].removeprefix("easel:new:"): option["value"]
        for menu in menus
        for option in menu["options"]
        if option.get("default")
    }


async def stats(member: Member) -> str:
    return text_of((await member.settled(await member.command("/stats"), quiet_s=0.3)).messages[-1])


async def test_two_members_rate_at_once_and_it_is_there_after_a_restart(
    studio: Studio, ada: Member, mei: Member
) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7 count:2"))
    job = number(message)
    of_ada, of_mei = await opened(ada, message), await opened(mei, message)
    with speaking("zh-CN"):
        assert say("Rate #{job}", job=job) in text_of(of_mei)
    before = len((await ada.state())["messages"])
    await asyncio.gather(chosen(ada, of_ada, f"ratestars:{job}:1", "5"), chosen(mei, of_mei, f"ratestars:{job}:1", "2"))
    page = await chosen(ada, of_ada, f"ratebest:{job}", "0")
    assert selected(page) == {f"ratestars:{job}:1": "5", f"ratebest:{job}": "0"}
    assert "Picture 1: 1 vote" in text_of(page)
    # Nobody is told, and nobody sees more than they said themselves.
    assert len((await ada.state())["messages"]) == before
    assert selected(await mei.wait_for(of_mei, lambda _: True)) == {f"ratestars:{job}:1": "2"}
    assert "1 张图片" not in text_of(await mei.wait_for(of_mei, lambda _: True))
    await studio.stop()
    await studio.start()
    assert selected(await opened(ada, message)) == selected(page)
    page = await chosen(ada, page, f"ratestars:{job}:1", "4")
    page = await chosen(ada, page, f"ratebest:{job}", "none")
    assert selected(page) == {f"ratestars:{job}:1": "4"}
    said = await ada.command("rate", {"job": job, "picture": 1, "stars": 2})
    assert text_of(said.message) == f"Picture 1 of #{job} has 2 of 5 from you."
    assert is_private(said)
    told = await stats(ada)
    # Ada's mean is 3, and hers counts as much as Mei's one rating.
    assert "- starter: 2.5 ± 0.5 of 5 stars (3 ratings, only 2 members)" in told, told


async def test_models_are_compared_blindly(ada: Member, mei: Member) -> None:
    reply = await ada.command("/grid prompt:a red house x:model starter, second steps:2 seed:7 blind:true")
    message = await finished(ada, reply)
    assert "A, B" in text_of(message)
    assert not re.search("starter|second", text_of(message))
    job = number(message)
    pages = {member: await opened(member, message) for member in (ada, mei)}
    assert not re.search("starter|second", str(pages))
    known = {}
    for member in pages:
        page = await chosen(member, pages[member], f"ratebest:{job}", "0")
        [known[member]] = re.findall("A · .*(starter|second): 1", text_of(page)) or re.findall(
            "A · .*(starter|second): 2", text_of(page)
        )
        refused = await member.forge_click(page, f"easel:new:ratebest:{job}", ["1"])
        assert is_private(refused)
    assert known[ada] == known[mei]
    other = {"starter": "second", "second": "starter"}[known[ada]]
    told = await stats(ada)
    assert re.search(rf"- {known[ada]}: .*won 100 ± \d+ % of comparisons \(2 votes, only 2 members\)", told)
    assert re.search(rf"- {other}: .*won 0 ± \d+ % of comparisons \(2 votes, only 2 members\)", told)
    assert re.search(r"- second: .*CLIP score 0.321 ± 0.01 \(n 40\) · measured on 2026-11-30", told)


async def test_picture_that_was_deleted_meanwhile_is_not_rated(ada: Member, mei: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a blue boat {QUICK} seed:8"))
    job, page = number(message), await opened(mei, message)
    page = await chosen(mei, page, f"ratestars:{job}:0", "1")
    told = await stats(mei)
    await ada.click(message, "Delete", until="acknowledged")
    await gone(ada, message)
    refused = await mei.click(page, f"easel:new:ratestars:{job}:0", ["5"])
    with speaking("zh-CN"):
        assert text_of(refused.message) == say(NOT_SEEN)
    assert "4 个评分" in told
    assert "3 个评分" in await stats(mei)


async def test_what_is_forged_or_hidden_is_refused(studio: Studio, ada: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a green fish {QUICK} seed:9"))
    job, page = number(message), await opened(ada, message)
    for custom_id, values in (
        (f"easel:new:ratestars:{job}:0", ["9"]),
        (f"easel:new:ratestars:{job}:0", ["-1"]),
        (f"easel:new:ratestars:{job}:0", ["1", "2"]),
        (f"easel:new:ratestars:{job}:7", ["1"]),
        (f"easel:new:ratestars:{job}:", ["1"]),
        (f"easel:new:ratestars:{'9' * 40}:0", ["1"]),
        (f"easel:new:ratebest:{job}", ["0"]),
        ("easel:new:ratebest:90000", ["0"]),
    ):
        refused = await ada.forge_click(page, custom_id, values)
        assert is_private(refused)
        assert "rror" not in text_of(refused.message)
    assert selected(await opened(ada, message)) == {}
    assert await studio.problems() == []


async def test_server_switches_it_off(ada: Member, barbara: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a red cat {QUICK} seed:9 count:2"))
    page = await opened(ada, message)
    whole = (await barbara.command("/settings")).message
    whole = await chosen(barbara, whole, "settingpick:0", "commands")
    await chosen(barbara, whole, "settingchoose:0:commands:0", "imagine", "stats")
    for reply in (
        await ada.click(page, f"easel:new:ratestars:{number(message)}:0", ["1"]),
        await ada.click(page, f"easel:new:ratebest:{number(message)}", ["1"]),
        await ada.click(message, "Rate"),
        await ada.command("/rate"),
    ):
        assert text_of(reply.message).startswith("/rate is not allowed here")
