"""What moderators set holds for what members do: in two servers, over channels, while jobs wait, and after restarts."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.client.member import Json, Member, Refused, Reply, buttons_of, text_of
from sandbox.community.beginning import ADA_ID, GUILD_ID, LINUS_ID, PICTURES_ID, PRINT_ROOM_ID
from sandbox.limits.components import walk
from tests.e2e.asking import QUICK, finished, has_button, is_private, painted
from tests.e2e.conftest import Studio, running
from tests.page.driver import browser, open_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODERATORS = str(GUILD_ID + 11)
GENERAL = str(GUILD_ID + 2)
SLOW = "steps:50 count:4"

POLICY = f"""
steps = 60
blocked_words = ["forbidden by the operator"]
blocked_servers = [1]
blocked_members = [{2**60}]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """As everywhere, but with an operator's own policy."""
    folder: Path = tmp_path_factory.mktemp("settings")
    (folder / "policy.toml").write_text(POLICY)
    async with running(folder / "data", EASEL_POLICY=str(folder / "policy.toml")) as opened:
        yield opened


def member(name: str, channel: str | None = None) -> Any:
    @pytest_asyncio.fixture(loop_scope="module", name=(channel or name).lower())
    async def fixture(studio: Studio) -> AsyncIterator[Member]:
        async with Member(studio.sandbox.url, name, channel or "") as opened:
            yield opened

    return fixture


barbara, hedy = member("Barbara"), member("Hedy")


async def opened(moderator: Member) -> Json:
    """The panel, as /settings shows it to a moderator alone."""
    reply = await moderator.command("/settings")
    assert is_private(reply)
    return reply.message


def part(message: Json, action: str) -> str:
    """The custom_id of the button or menu that does this."""
    [found] = [
        str(one["custom_id"])
        for one in walk(message["components"])
        if str(one.get("custom_id", "")).startswith(f"easel:new:{action}:")
    ]
    return found


async def use(moderator: Member, message: Json, action: str, *values: str) -> Json:
    """Use a button or menu of the panel; the panel as it is then, in the same place."""
    reply = await moderator.click(message, part(message, action), list(values) or None, until="acknowledged")
    assert reply.failed_reason is None
    shown = (await moderator.settled(reply, quiet_s=0.2)).messages
    assert [one["id"] for one in shown] in ([], [message["id"]]), [text_of(one) for one in shown]
    return await moderator.wait_for(message, lambda _: True)


async def fill(moderator: Member, message: Json, action: str, fields: dict[str, str], *values: str) -> Json:
    """The same of a part that opens a form, which is filled in."""
    form = await moderator.click(message, part(message, action), list(values) or None)
    reply = await moderator.submit(form, fields)
    assert reply.failed_reason is None, reply.failed_reason
    await moderator.settled(reply, quiet_s=0.2)
    return await moderator.wait_for(message, lambda _: True)


async def reset(moderator: Member) -> None:
    """Leave nothing set, in the server or in #pictures."""
    for channel in ("0", str(PICTURES_ID)):
        message = await opened(moderator)
        if channel != "0":
            message = await use(moderator, message, "settingscope", channel)
        for name in ("commands", "models", "model", "style"):
            shown = await use(moderator, message, "settingpick", name)
            clear = next(one for one in buttons_of(shown) if one["custom_id"].startswith("easel:new:settingclear:"))
            if not clear.get("disabled"):
                shown = await use(moderator, shown, "settingclear")
            message = await use(moderator, shown, "settings")
        for name in ("pixels", "steps", "count") + ("waiting", "hour", "day") * (channel == "0"):
            message = await fill(moderator, message, "settingpick", {name: ""}, name)


@contextlib.contextmanager
def held(studio: Studio) -> Iterator[None]:
    """Let no job get on meanwhile."""
    engines = studio.engines()
    for engine in engines:
        os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        for engine in engines:
            os.kill(engine, signal.SIGCONT)


async def refused(reply: Reply) -> str:
    """What a member alone is told."""
    assert is_private(reply), text_of(reply.message)
    return text_of(reply.message)


async def test_only_who_manages_the_server_sees_and_uses_the_panel(ada: Member, barbara: Member) -> None:
    with pytest.raises(Refused):
        await ada.command("/settings")
    message = await opened(barbara)
    assert "Settings of this server" in text_of(message)
    assert "**Commands**: all" in text_of(message)
    assert "by whoever runs this bot: 60" in text_of(message)
    # Whatever a changed client sends.
    public, _ = await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK} seed:1"))
    forged: tuple[tuple[str, list[str] | None], ...] = (
        ("easel:new:settings:0", None),
        ("easel:new:settingpick:0", ["words"]),
        ("easel:new:settingchoose:0:models:0", []),
        ("easel:new:settingclear:0:models", None),
        ("easel:new:blockmember:0", [str(LINUS_ID)]),
        ("easel:new:blockwords:0", None),
    )
    for custom_id, values in forged:
        assert "You may not use /settings here" in await refused(await ada.forge_click(public, custom_id, values))
    for custom_id, fields in (("blockwords:0", {"words": "house"}), ("settingnumber:0:steps", {"steps": "1"})):
        assert "You may not use" in await refused(await ada.forge_modal(f"easel:new:{custom_id}", fields))
    # Nor does a moderator put the panel into somebody's message.
    answer = await barbara.forge_click(public, "easel:new:settings:0", None)
    assert is_private(answer)
    assert answer.message["id"] != public["id"]


async def test_forged_words_and_values_are_refused(barbara: Member) -> None:
    message = await opened(barbara)
    for custom_id, values in (
        ("settingpick:0", ["unheard"]),
        ("settingpick:0", []),
        ("settingpick:7", ["models"]),
        (f"settingpick:{PRINT_ROOM_ID + 1}", ["models"]),
        (f"settingpick:{PICTURES_ID}", ["members"]),
        ("settingpick:x", ["models"]),
        ("settingscope:", ["1" * 30]),
        ("settingchoose:0:models:0", ["no such model"]),
        ("settingchoose:0:commands:0", ["settings"]),
        ("settingchoose:0:steps:0", ["5"]),
        ("settingchoose:0:unheard:0", ["5"]),
        ("settingchoose:models", ["starter"]),
        ("settingclear:0:words", None),
        ("settingpage:0:steps:1", None),
        ("settingpage:0:unheard:1", None),
        ("blockmember:0", ["Ada"]),
        ("rolelimits:", ["12"]),
    ):
        answer = await barbara.forge_click(message, f"easel:new:{custom_id}", values)
        assert "send /settings again" in await refused(answer), custom_id
    for custom_id, fields in (
        ("settingnumber:0:steps", {"steps": "many"}),
        ("settingnumber:0:steps", {"steps": "0"}),
        ("settingnumber:0:pixels", {"pixels": "wide"}),
        ("settingnumber:0:models", {"models": "starter"}),
        (f"settingnumber:{PICTURES_ID}:hour", {"hour": "1"}),
        ("blockwords:0", {"words": "..."}),
        ("allowwords:0", {"words": "clown"}),
        ("rolelimits:12", {"hour": "3"}),
    ):
        await refused(await barbara.forge_modal(f"easel:new:{custom_id}", fields))
    text = text_of(await opened(barbara))
    assert "**Most steps**: no limit" in text
    assert "**Models**: all" in text


async def test_what_is_set_is_shown_in_place_inherited_and_outlives_the_bot(
    studio: Studio, ada: Member, barbara: Member
) -> None:
    message = await opened(barbara)
    message = await fill(barbara, message, "settingpick", {"steps": "9"}, "steps")
    message = await fill(barbara, message, "settingpick", {"pixels": "64x64"}, "pixels")
    assert "**Most steps**: 9" in text_of(message)
    assert "**Largest size**: 4096 pixels" in text_of(message)
    message = await use(barbara, message, "settingscope", str(PICTURES_ID))
    assert f"Settings of <#{PICTURES_ID}>" in text_of(message)
    assert "**Most steps**: as the server says: 9" in text_of(message)
    message = await fill(barbara, message, "settingpick", {"steps": "12"}, "steps")
    assert "**Most steps**: 12 · by whoever runs this bot: 60" in text_of(message)
    await studio.stop()
    await studio.start()
    # The old panel goes on, and what is set holds: the channel's before the server's.
    message = await use(barbara, message, "settings")
    assert "**Most steps**: 9" in text_of(message)
    assert "13 steps are more" in await refused(await ada.command("/imagine prompt:a house steps:13"))
    await painted(ada, await ada.command("/imagine prompt:a house steps:12 width:64 height:64"))
    async with Member(studio.sandbox.url, "Ada", "general") as elsewhere:
        answer = await elsewhere.command("/imagine prompt:a house steps:12 width:64 height:64")
        assert "12 steps are more than are allowed here, 9 is the most" in await refused(answer)
    async with Member(studio.sandbox.url, "Ada", "prints") as other:
        await painted(other, await other.command("/imagine prompt:a house steps:20"))
    # Who does not say is within it.
    await painted(ada, await ada.command("/imagine prompt:a house"))
    assert "larger than is allowed here" in await refused(await ada.command("/imagine prompt:a house width:128"))
    # A thread stands under the channel around it.
    async with Member(studio.sandbox.url, "Linus", "tips") as thread:
        assert "13 steps" in await refused(await thread.command("/imagine prompt:a house steps:13"))
    await reset(barbara)


async def test_each_server_sets_its_own(studio: Studio, ada: Member, hedy: Member) -> None:
    message = await fill(hedy, await opened(hedy), "settingpick", {"count": "1"}, "count")
    async with Member(studio.sandbox.url, "Ada", "lobby") as there:
        assert "2 pictures at once" in await refused(await there.command(f"/imagine prompt:a house {QUICK} count:2"))
    await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK} count:2"))
    # Who looks after one server has no say in the other.
    async with Member(studio.sandbox.url, "Alan", "lobby") as alan:
        with pytest.raises(Refused):
            await alan.command("/settings")
    await fill(hedy, message, "settingpick", {"count": ""}, "count")


async def test_command_that_is_not_allowed_is_neither_typed_nor_pressed_nor_forged(
    studio: Studio, ada: Member, barbara: Member
) -> None:
    picture, _ = await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK} seed:3"))
    form = await ada.click(picture, "Edit")
    message = await use(barbara, await opened(barbara), "settingpick", "commands")
    message = await use(barbara, message, "settingchoose", "describe", "reroll")
    assert "/describe, /reroll" in text_of(message)
    sentence = "/imagine is not allowed here"
    assert sentence in await refused(await ada.command(f"/imagine prompt:a house {QUICK}"))
    assert "/compose is not allowed here" in await refused(await ada.command("/compose"))
    for label in ("Re-roll", "V1", "Edit"):
        assert sentence in await refused(await ada.click(picture, label))
    assert "/upscale is not allowed here" in await refused(await ada.click(picture, "U1"))
    assert sentence in await refused(await ada.submit(form, {"prompt": "a boat"}))
    assert sentence in await refused(await ada.command(f"/reroll job:{number(picture)} seed:new"))
    assert sentence in await refused(
        await ada.forge_modal("easel:new:compose:starter", {"subject": "a", "environment": ""})
    )
    await finished(ada, await ada.command("describe", {"job": number(picture)}))
    # In one channel it is, and settings are always at hand.
    message = await use(barbara, await opened(barbara), "settingscope", GENERAL)
    message = await use(barbara, message, "settingpick", "commands")
    await use(barbara, message, "settingchoose", "imagine")
    async with Member(studio.sandbox.url, "Ada", "general") as elsewhere:
        await painted(elsewhere, await elsewhere.command(f"/imagine prompt:a house {QUICK}"))
    message = await use(barbara, await opened(barbara), "settingscope", GENERAL)
    message = await use(barbara, message, "settingpick", "commands")
    await use(barbara, message, "settingclear")
    await reset(barbara)
    await painted(ada, await ada.click(picture, "Re-roll"))


def number(message: Json) -> int:
    return int(text_of(message).rpartition("#")[2].split()[0])


async def test_default_style_is_taken_and_left_out_by_name(ada: Member, barbara: Member) -> None:
    message = await use(barbara, await opened(barbara), "settingpick", "style")
    await use(barbara, message, "settingchoose", "watercolour")
    styled, _ = await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK}"))
    assert "Watercolour" in text_of(styled)
    assert "none" in {one["value"] for one in await ada.complete("imagine", "style", style="")}
    plain, _ = await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK} style:none"))
    assert "Watercolour" not in text_of(plain)
    await reset(barbara)
    assert "none" not in {one["value"] for one in await ada.complete("imagine", "style", style="")}


async def test_models_that_are_not_allowed_are_neither_offered_nor_painted_with(ada: Member, barbara: Member) -> None:
    message = await use(barbara, await opened(barbara), "settingpick", "models")
    await use(barbara, message, "settingchoose")
    assert await ada.complete("imagine", "model", model="") == []
    assert "No model is allowed here" in await refused(await ada.command(f"/imagine prompt:a house {QUICK}"))
    await reset(barbara)
    assert await ada.complete("imagine", "model", model="")


async def test_blocked_words_are_told_by_number_and_shown_behind_spoilers(
    studio: Studio, ada: Member, barbara: Member
) -> None:
    picture, _ = await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK} seed:4"))
    message = await use(barbara, await opened(barbara), "settingpick", "words")
    message = await fill(barbara, message, "blockwords", {"words": "clown\nbad word\n猫"})
    assert "1. ||clown||" in text_of(message)
    sentence = "Word 1 of this server's list is not allowed: say it in other words."
    for prompt in ("a clown", "a C.L.O.W.N", "a сlоwn", "a cl0wn", "(clo)(wn:1.2)"):
        reply = await ada.command("imagine", {"prompt": prompt})
        assert await refused(reply) == sentence
    await painted(ada, await ada.command("imagine", {"prompt": "clownfish", "steps": 4}))
    assert "Word 3" in await refused(await ada.command("/imagine prompt:一只猫"))
    assert "Word 2" in await refused(await ada.submit(await ada.click(picture, "Edit"), {"prompt": "a bad word"}))
    asked = {"job": number(picture)}
    assert sentence in await refused(await ada.command("describe", asked | {"task": "find", "text": "clown"}))
    assert sentence in await refused(await ada.command("classify", asked | {"labels": "clown, house"}))
    assert sentence in await refused(await ada.command("grid", {"prompt": "a house", "x": "prompt house, clown"}))
    assert sentence in await refused(await ada.submit(await ada.command("/compose"), {"subject": "clown"}))
    assert sentence in await refused(await ada.command("edit", asked | {"prompt": "a hat", "what": "the clown"}))
    operators = "Word 1 of the list of whoever runs this bot"
    assert operators in await refused(await ada.command("/imagine prompt:forbidden by the operator"))
    async with Member(studio.sandbox.url, "Ada", "prints") as other:
        await painted(other, await other.command(f"/imagine prompt:a clown {QUICK}"))
        assert operators in await refused(await other.command("/imagine prompt:forbidden by the operator"))
    await studio.stop()
    await studio.start()
    message = await fill(barbara, message, "allowwords", {"words": "1, 2"})
    assert "3. ||猫||" in text_of(message)
    assert "clown" not in text_of(message)
    await painted(ada, await ada.command(f"/imagine prompt:a clown {QUICK}"))
    await fill(barbara, message, "allowwords", {"words": "3"})


async def test_what_protects_minors_holds_everywhere(studio: Studio, ada: Member, hedy: Member) -> None:
    child, _ = await painted(ada, await ada.command(f"/imagine prompt:a child on a swing {QUICK} seed:5"))
    await painted(ada, await ada.command(f"/imagine prompt:a nude statue {QUICK}"))
    sentence = "no setting changes that"
    for channel in ("pictures", "after-dark", "prints", "@easel"):
        async with Member(studio.sandbox.url, "Ada", channel) as somewhere:
            assert sentence in await refused(await somewhere.command("/imagine prompt:a n4ked ch1ld"))
    assert sentence in await refused(await ada.submit(await ada.click(child, "Edit"), {"prompt": "a nude child"}))
    edit = {"job": number(child), "prompt": "a nude body", "what": "the swing"}
    assert sentence in await refused(await ada.command("edit", edit))
    # The picture of a child, whatever is said of it now, and made larger before.
    larger = await finished(ada, await ada.click(child, "U1"))
    for source in (child, larger):
        imagined = {"prompt": "a nude body", "job": number(source)}
        assert sentence in await refused(await ada.command("imagine", imagined))


async def test_members_are_blocked_and_let_in_again(studio: Studio, linus: Member, barbara: Member) -> None:
    picture, _ = await painted(linus, await linus.command(f"/imagine prompt:a house {QUICK}"))
    message = await use(barbara, await opened(barbara), "settingpick", "members")
    message = await use(barbara, message, "blockmember", str(LINUS_ID))
    assert f"<@{LINUS_ID}>" in text_of(message)
    sentence = "its moderators have blocked you"
    assert sentence in await refused(await linus.command(f"/imagine prompt:a house {QUICK}"))
    assert sentence in await refused(await linus.click(picture, "Re-roll"))
    assert sentence in await refused(await linus.click(picture, "Edit"))
    message = await use(barbara, message, "blockmember", str(LINUS_ID))
    assert f"<@{LINUS_ID}>" not in text_of(message)
    await painted(linus, await linus.click(picture, "Re-roll"))


async def test_limits_are_the_most_generous_of_a_members_roles_and_given_back(
    studio: Studio, ada: Member, grace: Member, barbara: Member
) -> None:
    done = spent(studio, ADA_ID)
    message = await fill(barbara, await opened(barbara), "settingpick", {"day": str(done + 1)}, "day")
    message = await use(barbara, message, "settingmore", "roles")
    message = await fill(barbara, message, "rolelimits", {"day": "1000"}, MODERATORS)
    assert f"<@&{MODERATORS}>: Jobs per member in a day 1000" in text_of(message)
    slow = await ada.command(f"/imagine prompt:a house {SLOW}")
    cancelled = await ada.command(f"/imagine prompt:a boat {QUICK}")
    assert f"{done + 1} job" in await refused(cancelled)
    await ada.click(slow.message, "Cancel", until="acknowledged")
    await finished(ada, slow)
    for _ in range(2):
        await painted(grace, await grace.command(f"/imagine prompt:a house {QUICK}"))
    message = await fill(barbara, message, "rolelimits", {"day": ""}, MODERATORS)
    await reset(barbara)
    await painted(ada, await ada.command(f"/imagine prompt:a house {QUICK}"))


def spent(studio: Studio, member_id: int) -> int:
    """How many jobs of a member count in the first server so far."""
    with contextlib.closing(sqlite3.connect(studio.data / "easel.sqlite3")) as database:
        query = "SELECT count(*) FROM spent WHERE member_id = ? AND guild_id = ?"
        return int(database.execute(query, (member_id, GUILD_ID)).fetchone()[0])


async def test_what_is_set_while_jobs_wait_holds_for_them_and_says_so(
    studio: Studio, ada: Member, barbara: Member
) -> None:
    slow = await ada.command(f"/imagine prompt:a house {SLOW}")
    await ada.wait_for(slow.message, lambda shown: "▰" in text_of(shown))
    worded = await ada.command(f"/imagine prompt:a clown {QUICK}")
    many = await ada.command("/imagine prompt:a boat steps:20")
    fine = await ada.command(f"/imagine prompt:a boat {QUICK}")
    with held(studio):
        message = await use(barbara, await opened(barbara), "settingpick", "words")
        message = await fill(barbara, message, "blockwords", {"words": "clown"})
        message = await use(barbara, message, "settings")
        await fill(barbara, message, "settingpick", {"steps": "9"}, "steps")
    await painted(ada, slow)
    ended = await finished(ada, worded)
    assert "Word 1 of this server's list is not allowed" in text_of(ended)
    assert not has_button(ended, "V1")
    assert "20 steps are more than are allowed here, 9 is the most" in text_of(await finished(ada, many))
    await painted(ada, fine)
    # Those that wait while the bot is away too.
    with held(studio):
        slow = await ada.command("/imagine prompt:a house steps:9 count:4")
        waiting = await ada.command("/imagine prompt:a boat steps:8")
        await fill(barbara, await opened(barbara), "settingpick", {"steps": "5"}, "steps")
    await studio.stop()
    await studio.start()
    assert "8 steps are more" in text_of(await finished(ada, waiting))
    await finished(ada, slow)
    message = await use(barbara, await opened(barbara), "settingpick", "words")
    await fill(barbara, message, "allowwords", {"words": "1"})
    await reset(barbara)


async def test_two_moderators_at_once_lose_nothing_of_one_another(
    studio: Studio, grace: Member, barbara: Member
) -> None:
    await barbara.permit("settings", {"role": "Moderators", "allow": True})
    first, second = await opened(barbara), await opened(grace)
    first = await fill(barbara, first, "settingpick", {"steps": "9"}, "steps")
    second = await fill(grace, second, "settingpick", {"count": "2"}, "count")
    assert "**Most steps**: 9" in text_of(second)
    first = await fill(barbara, first, "settingpick", {"count": "3"}, "count")
    assert "**Most pictures per job**: 3" in text_of(first)
    assert "**Most steps**: 9" in text_of(first)
    await barbara.permit("settings")
    assert "You may not use /settings" in await refused(await grace.forge_click(second, "easel:new:settings:0"))
    await reset(barbara)


async def test_in_direct_messages_it_says_where_it_belongs(studio: Studio) -> None:
    async with Member(studio.sandbox.url, "Barbara", "@easel") as barbara:
        assert "Settings belong to a server" in await refused(await barbara.command("/settings"))


@pytest.mark.parametrize(("name", "width", "height"), [("desk", 1280, 800), ("phone", 390, 844)])
async def test_panel_is_seen_and_used_on_the_page(studio: Studio, name: str, width: int, height: int) -> None:
    async with (
        browser() as chromium,
        open_page(chromium, studio.sandbox.url, "Barbara", width=width, height=height) as page,
    ):
        await page.ask("/settings", "Settings of this server")
        await page.screenshot(f"settings-{name}")
        for title, seen in (
            ("Blocked words", "Block words"),
            ("Models", "What is chosen is allowed"),
            ("Blocked members", "Choose a member"),
            ("Limits of roles", "Choose a role"),
        ):
            menu = "More settings" if title == "Limits of roles" else "Change a setting"
            await page.newest.get_by_role("combobox", name=menu).click()
            await page.page.get_by_role("option", name=title).first.click()
            if title == "Blocked words":
                await page.click_button("Block words", page.newest)
                form = page.page.get_by_role("dialog")
                await form.get_by_label("Words and phrases").fill("clown\nbad word")
                await page.screenshot(f"settings-form-{name}")
                await form.get_by_role("button", name="Submit").click()
            await page.wait_for_text(seen)
            await page.screenshot(f"settings-{title.split()[-1].lower()}-{name}")
            await page.click_button("Back", page.newest)
            await page.wait_for_text("Settings of this server")


async def test_bot_and_sandbox_keep_to_discords_description(studio: Studio) -> None:
    assert await studio.problems() == []
