"""What moderators see and keep of a server: members of every role in two servers, over restarts."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.client.member import Json, Member, Refused, buttons_of, text_of
from sandbox.community.beginning import ADA_ID, BARBARA_ID, GENERAL_ID, GRACE_ID, LINUS_ID
from tests.e2e.asking import QUICK, gone, number, painted, picture, unsigned
from tests.e2e.conftest import Studio, running
from tests.e2e.test_settings import fill, member, opened, use
from tests.page.driver import browser, open_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

barbara, hedy = member("Barbara"), member("Hedy")

ADA, GRACE = str(ADA_ID), str(GRACE_ID)

POLICY = 'blocked_words = ["forbidden"]\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    folder: Path = tmp_path_factory.mktemp("watch")
    (folder / "policy.toml").write_text(POLICY)
    async with running(folder / "data", EASEL_POLICY=str(folder / "policy.toml")) as opened_:
        yield opened_


async def answer_to(member: Member, command: str, options: Json | None = None) -> Json:
    """What the member alone is shown once a command is done."""
    reply = await member.command(command, options)
    message = (await member.settled(reply, quiet_s=0.3)).messages[-1]
    assert message["flags"] & 64
    return message


def row(text: str, *words: str) -> str:
    """The line of a page that has all these words."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert found, f"{words} in none of:\n{text}"
    return found[0]


def button(message: Json, label: str) -> Json:
    return next(one for one in buttons_of(message) if one.get("label") == label)


async def test_moderators_read_who_did_what_and_no_words(
    ada: Member, grace: Member, barbara: Member, hedy: Member, studio: Studio
) -> None:
    with pytest.raises(Refused):
        await ada.command("/audit")
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a red hush-hush house {QUICK} seed:1"))
    reply = await ada.command(f"/imagine prompt:a forbidden house {QUICK}")
    assert "is not allowed" in text_of(reply.message)
    # From another channel too, by a moderator who has nothing but the number.
    async with Member(studio.sandbox.url, "Grace", "general") as elsewhere:
        shown = await answer_to(elsewhere, f"/show job:{number(message)}")
        await elsewhere.click(shown, "Delete", until="acknowledged")
    await gone(ada, message)
    assert not list((studio.data / "pictures").rglob("*.png"))
    await fill(barbara, await opened(barbara), "settingpick", {"steps": "40"}, "steps")

    page = text_of(await answer_to(grace, "/audit"))
    job = f"#{number(message)}"
    assert "was accepted" in row(page, ADA, job, "accepted", "`/imagine`")
    assert re.search(r"`[0-9a-f]{12}`", row(page, ADA, job, "finished"))
    assert GRACE in row(page, ADA, job, "deleted")
    assert "Word 1 of the list of whoever runs this bot" in row(page, ADA, "refused")
    assert "Most steps: – → `40`" in row(page, "by", str(BARBARA_ID), "setting")
    assert "hush" not in page
    assert "forbidden" not in page
    # Of one member; in another server; after a restart.
    page = text_of(await answer_to(grace, "audit", {"member": LINUS_ID}))
    assert "Nothing happened here yet" in page
    assert "Nothing happened here yet" in text_of(await answer_to(hedy, "/audit"))
    await studio.stop()
    await studio.start()
    answer = await answer_to(barbara, "/audit")
    row(text_of(answer), ADA, job, "deleted", GRACE)
    # Owners have all of it; moderators have not, whatever their client sends.
    reply = await barbara.settled(await barbara.click(answer, "As CSV", until="acknowledged"), quiet_s=0.5)
    [(_, content)] = await barbara.files(reply.messages[-1])
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert {one["what"] for one in rows} == {"accepted", "finished", "deleted", "refused", "set"}
    assert {one["command"] for one in rows} == {"imagine", ""}
    assert b"hush" not in content
    shown = await answer_to(grace, "/audit")
    assert "As CSV" not in [one.get("label") for one in buttons_of(shown)]
    assert "Only who owns" in text_of((await grace.forge_click(shown, "easel:new:auditcsv:0", None)).message)
    public, _ = await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK} seed:2"))
    assert "You may not use /audit" in text_of((await ada.forge_click(public, "easel:new:audit:0:0", None)).message)


async def test_pages_of_the_audit_are_turned(ada: Member, grace: Member) -> None:
    for seed in range(8):
        reply = await ada.command(f"/imagine prompt:a forbidden house seed:{seed}")
        assert "is not allowed" in text_of(reply.message)
    async with asyncio.timeout(30):
        # Whoever is refused does not wait for its row.
        while text_of(shown := await answer_to(grace, "/audit")).count("was refused") < 8:
            continue
    assert len(text_of(shown).splitlines()) == 12
    assert button(shown, "Newest").get("disabled")
    await grace.click(shown, "Older", until="acknowledged")
    older = await grace.wait_for(shown, lambda one: "was deleted" in text_of(one))
    assert button(older, "Older").get("disabled")
    await grace.click(older, "Newest", until="acknowledged")
    await grace.wait_for(shown, lambda one: text_of(one).count("was refused") == 8)


async def logged(reader: Member, studio: Studio, channel: int, *words: str) -> Json:
    """The message of the log channel that has all these words, once there is one."""
    async with asyncio.timeout(60):
        while True:
            shown = [one for one in (await reader.state())["messages"] if one["channel_id"] == str(channel)]
            for message in shown:
                if all(word in text_of(message) for word in words):
                    return message
            await studio.sandbox.state.hub.change(timeout_s=0.5)


async def test_log_channel_tells_moderators_of_jobs_and_they_delete_and_block_from_there(
    ada: Member, linus: Member, grace: Member, barbara: Member, studio: Studio
) -> None:
    message = await use(barbara, await opened(barbara), "settingpick", "log")
    message = await use(barbara, message, "settingchoose", str(GENERAL_ID))
    assert f"<#{GENERAL_ID}>" in text_of(message)
    public, _ = await painted(linus, await linus.command(f"/imagine prompt:a *blue* boat @everyone {QUICK} seed:5"))
    told = await logged(grace, studio, GENERAL_ID, f"#{number(public)}", "boat")
    assert f"<@{LINUS_ID}>" in text_of(told)
    assert str(public["id"]) in text_of(told)
    assert "\\*blue\\*" in text_of(told)
    assert not told.get("mentions")
    # What is for adults stays among them.
    async with Member(studio.sandbox.url, "Linus", "after-dark") as dark:
        hidden, _ = await painted(dark, await dark.command(f"/imagine prompt:a hush house {QUICK} seed:5"))
    other = await logged(grace, studio, GENERAL_ID, f"#{number(hidden)}")
    assert "hush" not in text_of(other)
    # Nobody but moderators acts from there, and who may not change settings blocks nobody.
    for action in ("logdelete", "logblock"):
        forged = await ada.forge_click(told, f"easel:{action}:{number(public)}", None)
        assert "not to be seen here" in text_of(forged.message)
    refused = await grace.forge_click(told, f"easel:logblock:{number(public)}", None)
    assert "You may not use /settings" in text_of(refused.message)
    blocked = await barbara.forge_click(told, f"easel:logblock:{number(public)}", None)
    assert f"<@{LINUS_ID}>" in text_of(blocked.message)
    assert "blocked you" in text_of((await linus.command(f"/imagine prompt:a boat {QUICK}")).message)
    await grace.click(told, f"easel:logdelete:{number(public)}", until="acknowledged")
    await gone(linus, public)
    await logged(grace, studio, GENERAL_ID, f"Job #{number(public)} was deleted")
    page = text_of(await answer_to(grace, "audit", {"member": str(LINUS_ID)}))
    assert GRACE in row(page, f"#{number(public)}", "deleted")
    assert str(BARBARA_ID) in row(page, str(LINUS_ID), "was blocked")


async def test_statistics_are_numbers_for_all_and_members_for_moderators(
    ada: Member, grace: Member, hedy: Member
) -> None:
    await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK} seed:9"))
    shown = await answer_to(ada, "stats", {"period": "day"})
    said = text_of(shown)
    assert "starter" in said
    assert "yours: place 1" in said
    assert "<@" not in said
    [(_, drawn)] = await ada.files(shown, "image/")
    assert picture(drawn).width == 1000
    assert re.search(r"'description': '[^']*starter", str(shown["components"]))
    assert f"<@{ADA_ID}>" in text_of(await answer_to(grace, "/stats"))
    assert "Nothing was asked for" in text_of(await answer_to(hedy, "/stats"))


async def test_old_pictures_leave_the_disk_and_are_made_again(ada: Member, studio: Studio) -> None:
    message, [before] = await painted(ada, await ada.command(f"/imagine prompt:an old house {QUICK} seed:31"))
    await studio.stop()
    bounded = Studio(studio.sandbox, studio.data, EASEL_KEEP_GB="0.000000001")
    try:
        await bounded.start()
        async with asyncio.timeout(60):
            while [file for kind in ("pictures", "thumbnails") for file in (studio.data / kind).rglob("*.*")]:
                await studio.sandbox.state.hub.change(timeout_s=0.2)
        # What stands in Discord stays there; what would need the file says so.
        assert await unsigned(ada, message) == [before]
        answered = (await ada.settled(await ada.click(message, "U1", until="acknowledged"), quiet_s=0.5)).messages
        assert "old and was removed" in text_of(answered[-1])
        shown = await answer_to(ada, f"/show job:{number(message)}")
        assert "old and were removed" in text_of(shown)
        assert "an old house" in text_of(await answer_to(ada, "/history"))
    finally:
        await bounded.stop()
    await studio.start()
    again, [after] = await painted(ada, await ada.click(shown, "Try again"))
    assert after == before
    assert number(again) != number(message)


@pytest.mark.parametrize(("name", "width", "height"), [("desk", 1280, 800), ("phone", 390, 844)])
async def test_all_of_it_is_seen_on_the_page(
    studio: Studio, barbara: Member, name: str, width: int, height: int
) -> None:
    await barbara.command(f"/imagine prompt:a house {QUICK} seed:77")
    async with (
        browser() as chromium,
        open_page(chromium, studio.sandbox.url, "Barbara", width=width, height=height) as page,
    ):
        await page.ask("/stats period:week", "Statistics of this server")
        await page.wait_for_picture()
        await page.screenshot(f"stats-{name}")
        # On the page it has to be chosen whom it is about.
        await barbara.command("/audit")
        await page.wait_for_text("nobody can take a row out")
        await page.screenshot(f"audit-{name}")


async def test_bot_keeps_to_discords_description_and_to_its_limits(studio: Studio, ada: Member) -> None:
    assert await studio.problems() == []
    assert [entry["path"] for entry in await ada.log() if entry.get("status") == 429] == []
