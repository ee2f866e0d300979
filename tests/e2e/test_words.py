"""Whatever a member can see is said in their language: Mei, whose client is Chinese, uses all that there is of the real
bot, and no word is left that was not translated. To the others it speaks the language that nobody speaks.

What they type has no letters that could be taken for one of ours.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from discord import app_commands
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot import commands
from bot.commands.me import LANGUAGES
from bot.measured import SHOWN
from bot.requests import grids
from bot.words import catalogues, say, speaking
from bot.words.catalogues import PSEUDO
from sandbox.client.member import Json, Member, Reply, buttons_of, text_of
from sandbox.community.beginning import GENERAL_ID, GUILD_ID, LINUS_ID, MEI_ID, PICTURES_ID
from sandbox.limits.components import walk
from starter.render import render
from starter.world import Scene
from tests import forkserver
from tests.bot.test_watching import free_address
from tests.e2e import shown, trained
from tests.e2e.asking import BOATS, QUICK, png
from tests.e2e.conftest import ROOT, Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "steps:50 count:4"
EDIT = {"method": "PATCH", "route": "/webhooks/{}/{}/messages/{}"}
UNSAFE = "a large red mushroom on a meadow by day, flat style"
"""What the starter's checker withholds."""

TYPED = {UNSAFE, "euler"}
"""What members typed that has letters all the same."""

CHINESE = "zh-CN"

NAMES = {
    "Studio",
    "English",
    "ZIP",
    "CSV",
    "ID",
    "UTC",
    "LoRA",
    "AdamW",
    "CC",
    "BY",
    "ControlNet",
    "CLIP",
    "FID",
    "Inception",
    "diffusers",
    "Discord",
    "OpenAI",
    "API",
    "Easel",
    "PNG",
    "JPEG",
    "PDF",
    "MiB",
    "MB",
    "AND",
    "BREAK",
    "Ctrl",
}
"""What is called so in Chinese too."""

AXES = {
    "steps 4, 8, 12",
    "guidance 2, 5",
    "ink:0.8, neon",
    "canny:0.8, depth",
    "etchings-of-mei",
    *grids.EXAMPLES,
    "lora neon:0, neon:0.5, neon:1",
    "model starter, checked",
    ", ".join(grids.NAMES),
}
"""What is to be typed as it is, like the names of options: how grids are written."""

drawn: list[tuple[str, str]] = []
"""What was written into pictures that their member has erased."""

asked: dict[str, str] = {}
"""Who began each interaction."""

done: set[str] = set()
"""What members have used: commands, menus, options with completion, buttons, forms."""


class Scripted(Member):
    """A member who keeps book."""

    async def _start(self, *begun: Any) -> Reply:
        reply = await super()._start(*begun)
        asked[reply.id] = self._name
        return reply

    async def command(self, command: str, options: Any = None, **more: Any) -> Reply:
        done.add(command.split()[0].removeprefix("/"))
        return await super().command(command, options, **more)

    async def menu_command(self, name: str, **more: Any) -> Reply:
        done.add(name)
        return await super().menu_command(name, **more)

    async def complete(self, command: str, focused: str, **options: Any) -> list[Json]:
        done.add(f"{command} {focused}")
        return await super().complete(command, focused, **options)

    async def press(self, message: Json, action: str, index: int = 0, **more: Any) -> Reply:
        """Press the button of this action, whatever it is called."""
        done.add(f"press {action}")
        found = [str(button["custom_id"]) for button in buttons_of(message)]
        [custom_id] = [one for one in found if re.fullmatch(rf"easel:{action}:\d+" + f":{index}" * bool(index), one)]
        return await self.click(message, custom_id, **more)

    async def use(self, message: Json, action: str, *values: str, word: str | None = None, **more: Any) -> Reply:
        """Use the button or menu of a panel that does this, of several that with this word."""
        done.add(f"use {action}")
        found = [str(one.get("custom_id")) for one in walk(message["components"])]
        whole = f"easel:new:{action}:"
        [custom_id] = [one for one in found if (one.startswith(whole) if word is None else one == whole + word)]
        return await self.click(message, custom_id, list(values) or None, **more)

    async def panel(self, message: Json, action: str, *values: str, word: str | None = None) -> Json:
        """The same, and the panel as it is then."""
        reply = await self.use(message, action, *values, word=word, until="acknowledged")
        await self.settled(reply, quiet_s=0.3)
        return await self.wait_for(message, lambda _: True)

    async def sent(self, message: Json, opened: Reply, values: Any, **more: Any) -> Json:
        """The panel from which a form was opened, once that was sent."""
        reply = await self.submit(opened, values, until="acknowledged", **more)
        await self.settled(reply, quiet_s=0.3)
        return await self.wait_for(message, lambda _: True)

    async def submit(self, opened: Reply, values: Any, **more: Any) -> Reply:
        assert opened.modal is not None
        done.add("submit " + re.sub("^easel:(message:|new:)?", "", opened.modal["custom_id"]).split(":")[0])
        return await super().submit(opened, values, **more)

    async def logged(self, channel: int, job: int) -> Json:
        """The message in which the log channel is told of a job."""
        async with asyncio.timeout(60):
            while True:
                for message in (await self.state())["messages"]:
                    told = {str(one["custom_id"]) for one in buttons_of(message)}
                    if message["channel_id"] == str(channel) and f"easel:logdelete:{job}" in told:
                        return message
                await self.settled(await self.command("/queue"), quiet_s=0.3)

    async def cancel(self, message: Json) -> None:
        """Press Cancel."""
        await self.press(message, "cancel", until="acknowledged")

    async def ended(self, reply: Reply) -> Json:
        """The message of a job that has ended, well or badly."""
        return await self.wait_for(reply.message, lambda message: "delete" in actions(message), timeout_s=120)

    async def made(self, reply: Reply) -> Json:
        """The message of a job that has ended well."""
        assert not reply.message["flags"] & 64, text_of(reply.message)
        message = await self.ended(reply)
        assert "again" not in actions(message), text_of(message)
        return message

    async def refused(self, reply: Reply) -> str:
        """What is said to the member alone, at once or after a reply that is taken back."""
        async with asyncio.timeout(30):
            while True:
                answered = await self.settled(reply, quiet_s=0.3)
                if private := [text_of(message) for message in answered.messages if message["flags"] & 64]:
                    return private[0]
                await asyncio.sleep(0.1)


def actions(message: Json) -> set[str]:
    """What the buttons of a message do."""
    return {str(button["custom_id"]).split(":")[1] for button in buttons_of(message)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """As everywhere, but in those languages, with a second model that is checked, and little room in the queue."""
    folder: Path = tmp_path_factory.mktemp("words")
    catalogue = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    [starter] = re.findall(r"^\[models\.starter\]\n(?:[^\n]+\n)+", catalogue, re.MULTILINE)
    checked = starter.replace("[models.starter]", "[models.checked]").replace('"none"', '"starter"')
    (folder / "models.toml").write_text(f"{catalogue}\n{checked}")
    (folder / "styles.toml").write_text((ROOT / "styles.toml").read_text())
    measured = folder / "data" / "quality" / "starter" / "figures.json"
    measured.parent.mkdir(parents=True)
    figures = [{"name": name, "n": 2, "value": 1.5, "comparable": False} for name in SHOWN]
    told = {"date": "2026-11-30", "model": "starter", "prompts": "starter-1", "figures": figures}
    measured.write_text(json.dumps(told))
    await trained.ended(folder / "data", MEI_ID, GUILD_ID, "7", "帽", consent="我", license="0")
    async with running(
        folder / "data",
        EASEL_MODELS=str(folder / "models.toml"),
        EASEL_LANGUAGE=PSEUDO,
        EASEL_MAX_WAITING="4",
        EASEL_MAX_WAITING_PER_MEMBER="3",
        EASEL_SERVE=str(free_address()),
    ) as opened:
        yield opened


def member(name: str) -> Any:
    @pytest_asyncio.fixture(loop_scope="module", name=name.lower())
    async def fixture(studio: Studio) -> AsyncIterator[Scripted]:
        async with Scripted(studio.sandbox.url, name) as opened:
            yield opened

    return fixture


mei, linus, barbara = member("Mei"), member("Linus"), member("Barbara")


def boats() -> tuple[str, bytes]:
    return "1.png", png(render(BOATS, 256))


def number(message: Json) -> int:
    found = re.search(r"#(\d+)", text_of(message))
    assert found is not None
    return int(found[1])


async def test_painting_and_all_that_goes_on_from_there(mei: Scripted, linus: Scripted) -> None:
    """/imagine, its buttons and its forms."""
    two = await mei.made(await mei.command(f"/imagine prompt:{{红|蓝}}房 negative:{{雾|雨}} {QUICK} seed:7 count:2"))
    await mei.made(await mei.press(two, "upscale", 1))
    varied = await mei.made(await mei.press(two, "vary", 1))
    await mei.made(await mei.press(varied, "reroll"))
    form = await mei.press(two, "edit")
    await mei.made(await mei.submit(form, {"prompt": "房", "steps": "4", "size": "64x64"}))
    for wrong in ({"steps": "?"}, {"size": "?"}, {"seed": "?"}, {"steps": "4000"}):
        await mei.refused(await mei.submit(await mei.press(two, "edit"), {"prompt": "房", **wrong}))
    message = await mei.write("画", boats())
    form = await linus.menu_command("Reimagine", message=message)
    await linus.made(await linus.submit(form, {"prompt": "船", "strength": "0,5"}))
    form = await linus.menu_command("Reimagine", message=message)
    await linus.refused(await linus.submit(form, {"prompt": "船", "strength": "?"}))
    options = {"prompt": "房", "seed": "3", "steps": 4, "style": "watercolour", "lora": "neon:0.5", "hires": 1.5}
    files = {"control_image": boats(), "control_image2": boats()}
    options["control"] = "starter:0.8, starter:0.5"
    followed = await mei.made(await mei.command("imagine", options, files=files))
    for control in ("starter, starter, starter", "starter:?"):
        await mei.refused(await mei.command("imagine", {"prompt": "房", "control": control}, files=files))
    await mei.made(await mei.press(followed, "compare"))
    await mei.press(followed, "delete", until="acknowledged")
    form = await mei.command("/compose")
    await mei.made(await mei.submit(form, {"subject": "房", "environment": "夜", "style": ["cartoon"]}))
    await mei.refused(await mei.submit(await mei.command("/compose"), {"subject": "(红:99)"}))


async def test_grids_and_paintings_again(mei: Scripted) -> None:
    """/grid, /reroll and what is wrong with them."""
    for axis in ("guidance 2", "sampler DDIM", "seed 1", "style cartoon", "lora neon:1", "prompt 房"):
        await mei.made(
            await mei.command("grid", {"prompt": "房", "x": "steps 2", "y": axis, "width": 32, "height": 32})
        )
    table = await mei.made(await mei.command("/grid prompt:房 x:steps 2, 3 seed:7"))
    again = await mei.made(await mei.press(table, "regrid"))
    await mei.made(await mei.command("reroll", {"job": number(again), "seed": "new"}))
    one = await mei.made(await mei.command("classify", {"labels": "猫, 船"}, files={"image": boats()}))
    for options in ({"job": number(one)}, {"job": 90_000}):
        await mei.refused(await mei.command("reroll", options))
    for x, y in (
        ("帽 1", None),
        ("steps", None),
        ("steps 4, 900", None),
        ("steps 1,2,3,4,5", "seed 1,2,3,4"),
        ("prompt 猫, 狗", None),
        ("steps 2", "steps 3"),
        ("guidance ?", None),
        ("lora neon:?", None),
        ("lora 帽", None),
    ):
        await mei.refused(await mei.command("grid", {"prompt": "房", "x": x} | ({"y": y} if y else {})))
    table = await mei.made(await mei.command("/grid prompt:房 x:seed 1, 2 steps:2"))
    await mei.refused(await mei.press(table, "regrid"))


async def test_what_members_think_of_pictures(mei: Scripted, linus: Scripted) -> None:
    """/rate, its buttons and its menus."""

    async def choose(member: Scripted, page: Json, action: str, value: str) -> Json:
        custom_id = next(one["custom_id"] for one in walk(page["components"]) if action in str(one.get("custom_id")))
        done.add(f"use {action}")
        reply = await member.click(page, custom_id, [value], until="acknowledged")
        await member.settled(reply, quiet_s=0.3)
        return await member.wait_for(page, lambda _: True)

    two = await mei.made(await mei.command(f"/imagine prompt:房 {QUICK} seed:9 count:2"))
    for who in (mei, linus):
        # What stands in a table is said in the language of who asked for it.
        asked = {"prompt": "房", "x": "model checked, starter", "y": "prompt 房, 船", "steps": 4, "seed": "9"}
        table = await who.made(await who.command("grid", asked | {"blind": True}))
        page = (await who.press(two, "rate")).message
        for action, value in (("ratestars", "4"), ("ratestars", "none"), ("ratebest", "1"), ("ratebest", "none")):
            page = await choose(who, page, action, value)
        page = (await who.press(table, "rate")).message
        await choose(who, page, "ratebest", "1")
        await who.refused(await who.forge_click(page, f"easel:new:ratebest:{number(table)}", ["0"]))
        rated = await who.command("rate", {"job": number(two), "picture": 2, "stars": 5})
        assert rated.message["flags"] & 64
        for wrong in ({"job": number(two), "stars": 1}, {"job": number(table), "stars": 1}, {"job": 90_000}):
            await who.refused(await who.command("rate", wrong))
    await mei.settled(await mei.command("/rate"), quiet_s=0.3)


async def test_parts_painted_anew(mei: Scripted) -> None:
    """/edit, its masks, and what is wrong with them."""
    asked = {"prompt": "菇", "seed": "5"}
    mask = await mei.made(await mei.command("edit", {**asked, "what": "boats"}, files={"image": boats()}))
    TYPED.add("boats")
    for action in ("shrink", "grow", "invert"):
        await mei.made(await mei.press(mask, action))
    await mei.made(await mei.press(mask, "paint"))
    TYPED.add("the red rocket")
    await mei.made(await mei.command("edit", {**asked, "what": "the red rocket"}, files={"image": boats()}))
    await mei.made(await mei.command("edit", {**asked, "extend": "right"}, files={"image": boats()}))
    white = {"image": boats(), "mask": ("4.png", png(Image.new("L", (64, 64), 255)))}
    shown = await mei.made(await mei.command("edit", asked, files=white))
    await mei.made(await mei.press(shown, "paint"))
    await mei.made(await mei.press(shown, "invert"))
    black = {"image": boats(), "mask": ("2.png", png(Image.new("L", (64, 64))))}
    await mei.refused(await mei.command("edit", asked, files=black))
    await mei.refused(await mei.command("edit", asked, files={"image": boats()}))
    await mei.refused(await mei.command("edit", {**asked, "what": "船", "extend": "left"}, files={"image": boats()}))
    await mei.refused(await mei.command("edit", {**asked, "what": " "}, files={"image": boats()}))
    beside = {"image": boats(), "mask": boats(), "reference": boats()}
    await mei.refused(await mei.command("edit", asked, files=beside))
    await mei.refused(await mei.command("edit", asked))
    await mei.refused(await mei.command("edit", {**asked, "picture": 2}))
    await mei.refused(await mei.command("edit", {**asked, "job": 1}, files={"image": boats()}))
    wide = png(Image.new("RGB", (5000, 5000)))
    await mei.refused(await mei.command("edit", {**asked, "extend": "all"}, files={"image": ("3.png", wide)}))


async def test_questions_about_pictures(mei: Scripted, linus: Scripted) -> None:
    """/describe, /classify, /upscale, their buttons and their form."""
    painted = await mei.made(await mei.command(f"/imagine prompt:房 {QUICK} seed:3"))
    again = await mei.made(await mei.command(f"/imagine prompt:房 {QUICK} seed:3"))
    with speaking("zh-CN"):
        assert say("Job #{job} made the same before: this is it.", job=number(painted)) in text_of(again)
    told = await mei.made(await mei.command("describe", {"job": number(painted), "task": "caption"}))
    for place in (0, 1, 2):
        await mei.made(await mei.press(told, "also", place))
    await mei.made(await mei.press(told, "realise"))
    found = await mei.made(await mei.command("describe", {"task": "detect objects"}, files={"image": boats()}))
    await mei.press(found, "delete", until="acknowledged")
    foreign = PngInfo()
    foreign.add_text("parameters", "Steps: 4, Seed: 1")
    stream = io.BytesIO()
    render(BOATS, 256).save(stream, format="PNG", pnginfo=foreign)
    await mei.made(await mei.command("describe", {}, files={"image": ("4.png", stream.getvalue())}))
    for options in ({"task": "segment"}, {"task": "caption", "text": "船"}, {"task": "find", "text": "<船>"}):
        await mei.refused(await mei.command("describe", options, files={"image": boats()}))
    for task, text in (("find", "船"), ("read text", None), ("caption regions", None)):
        options = {"task": task} | ({"text": text} if text else {})
        await mei.made(await mei.command("describe", options, files={"image": boats()}))
    bars = await mei.made(await mei.command("classify", {"labels": "房, 船, 猫"}, files={"image": boats()}))
    await mei.made(await mei.submit(await mei.press(bars, "relabel"), {"labels": "红, 蓝"}))
    await mei.refused(await mei.submit(await mei.press(bars, "relabel"), {"labels": "红"}))
    await mei.made(await mei.command("classify", {"set": "things"}, files={"image": boats()}))
    await mei.refused(await mei.command("classify", {"set": "?"}, files={"image": boats()}))
    enlarged = await mei.made(await mei.command("upscale", {"factor": 2}, files={"image": boats()}))
    await mei.made(await mei.press(enlarged, "describe"))
    await mei.refused(await mei.command("upscale", {"denoise": 0.5}, files={"image": boats()}))
    await mei.refused(await mei.command("upscale", {"faces": "gfpgan"}, files={"image": boats()}))
    for options in ({"job": number(painted), "picture": 4}, {"job": number(told)}, {"picture": 2}, {}):
        await mei.refused(await mei.command("upscale", options))


async def test_menus_of_messages(mei: Scripted, linus: Scripted) -> None:
    """On results, on what others wrote, and on what shows nothing."""
    two = await mei.made(await mei.command(f"/imagine prompt:房 {QUICK} seed:8 count:2"))
    for menu, action in (("Upscale", "upscale"), ("Describe", "describe"), ("Classify", "classify")):
        asked = await linus.menu_command(menu, message=two)
        await linus.made(await linus.press(asked.message, action, 1))
    asked = await linus.menu_command("Reimagine", message=two)
    form = await linus.press(asked.message, "reimagine", 1)
    await linus.made(await linus.submit(form, {"prompt": "屋", "strength": "0.1"}))
    await linus.settled(await linus.menu_command("Show recipe", message=two), quiet_s=0.5)
    bare = await mei.write("画", boats())
    asked_of = await mei.made(await mei.command("classify", {"labels": "房, 船"}, files={"image": boats()}))
    foreign = []
    for keyword, text in (
        ("workflow", '{"nodes": [{"type": "KSampler"}]}'),
        ("invokeai_metadata", '{"steps": 4}'),
        ("parameters", "Steps: 4"),
    ):
        texts = PngInfo()
        texts.add_text(keyword, text)
        stream = io.BytesIO()
        render(BOATS, 64).save(stream, format="PNG", pnginfo=texts)
        foreign.append(await mei.write("画", ("5.png", stream.getvalue())))
    slow = await mei.command(f"/imagine prompt:房 {LONG}")
    for message in (bare, asked_of, *foreign, slow.message):
        await linus.settled(await linus.menu_command("Show recipe", message=message), quiet_s=0.5)
    await mei.cancel(slow.message)
    await mei.ended(slow)
    words = await mei.write("画")
    for message in (words, asked_of):
        await linus.refused(await linus.menu_command("Upscale", message=message))
    form = await linus.menu_command("Reimagine", message=bare)
    assert form.modal is not None
    await linus.refused(await linus.forge_modal("easel:message:reimagine:1", {"prompt": "船", "strength": ""}))


async def test_uploads_that_are_none(mei: Scripted) -> None:
    """What is wrong with a file, wherever that is found."""
    whole = boats()[1]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("1", "1")
    for name, data in (
        ("6.7z", b"1"),
        ("7.png", whole[: len(whole) // 2]),
        ("8.png", b"1"),
        ("9.png", png(Image.new("RGB", (512, 8)))),
        ("10.png", png(Image.new("RGB", (4, 4)))),
        ("11.png", png(Image.new("1", (7000, 7000)))),
        ("12.png", whole[:33] + b"%PDF-1.4" + whole[33:]),
        ("14.png", whole + archive.getvalue()),
        ("13.png", whole + b"1"),
    ):
        await mei.refused(await mei.command("upscale", {}, files={"image": (name, data)}))


async def test_what_there_is(mei: Scripted) -> None:
    """/models, and its pages where there are several."""
    asked = await mei.command("/models")
    assert "`starter`" in text_of(asked.message)
    done.add("use models")
    await mei.forge_click(asked.message, "easel:new:models:1")


async def test_limits_of_painting(mei: Scripted) -> None:
    """What the one rule finds, and what is no name of anything."""
    for options in (
        {"model": "?"},
        {"model": "sdxl"},
        {"style": "?"},
        {"sampler": "euler"},
        {"seed": "?"},
        {"steps": 900},
        {"guidance": 90.0},
        {"count": 90},
        {"width": 33},
        {"height": 8},
        {"width": 128, "height": 256},
        {"strength": 0.5},
        {"hires": 9.0},
        {"hires_strength": 0.5},
        {"refine": True},
        {"lora": "?"},
        {"lora": "neon, neon"},
        {"lora": "neon:?"},
        {"control": "starter"},
        {"negative": "雾" * 5000},
        {"prompt": " "},
        {"prompt": "房" * 5000},
    ):
        await mei.refused(await mei.command("imagine", {"prompt": "房", **options}))
    withheld = await mei.ended(await mei.command("imagine", {"prompt": UNSAFE, "seed": "1", "model": "checked"}))
    assert "again" in actions(withheld)
    await mei.press(withheld, "delete", until="acknowledged")


async def test_what_stands_in_the_queue(studio: Studio, mei: Scripted, linus: Scripted) -> None:
    """Places, progress, cancelling, the engine's end, and no more room."""
    slow = await mei.command(f"/imagine prompt:房 {LONG}")
    await mei.wait_for(slow.message, lambda message: "▰" in text_of(message))
    waiting = [await mei.command(f"/imagine prompt:房 {LONG}") for _ in range(3)]
    await mei.wait_for(waiting[1].message, lambda message: "2" in text_of(message).rpartition("#")[2])
    await mei.refused(await mei.command(f"/imagine prompt:房 {QUICK}"))
    waiting.append(await linus.command(f"/imagine prompt:房 {LONG}"))
    await linus.refused(await linus.command(f"/imagine prompt:房 {QUICK}"))
    await linus.refused(await linus.press(waiting[0].message, "cancel"))
    with forkserver.held():
        studio.kill_engine()
        await mei.wait_for(
            waiting[0].message, lambda message: in_chinese("the engine is being started again") in text_of(message)
        )
    for reply in (*waiting[:3], slow):
        await mei.cancel(reply.message)
    await linus.cancel(waiting[3].message)
    for reply in (slow, *waiting):
        cancelled = await mei.ended(reply)
    again = await linus.press(cancelled, "again")
    await linus.cancel(again.message)
    cancelled = await linus.ended(again)
    await mei.refused(await mei.press(cancelled, "delete"))
    await linus.press(cancelled, "delete", until="acknowledged")


async def test_job_that_stops_the_engine_twice(studio: Studio, mei: Scripted) -> None:
    """It is set aside in words."""
    running = await mei.command(f"/imagine prompt:房 {LONG} seed:4")
    for _ in range(2):
        message = await mei.wait_for(running.message, lambda message: "▰" in text_of(message), timeout_s=120)
        with forkserver.held():
            studio.kill_engine()
            await mei.wait_for(message, lambda message: "▰" not in text_of(message))
    await mei.ended(running)


async def test_results_that_discord_does_not_take(studio: Studio, mei: Scripted) -> None:
    """Smaller, barer, and elsewhere."""
    await mei.faults(attachment_size_limit=15_000)
    try:
        smaller = await mei.made(await mei.command("upscale", {}, files={"image": boats()}))
        await mei.press(smaller, "original")
        await mei.settled(await mei.press(smaller, "original"), quiet_s=1)
    finally:
        await mei.faults(attachment_size_limit=10 * 2**20)
    for refusals in range(3):
        reply = await mei.command(f"/imagine prompt:房 {LONG} seed:{refusals}")
        await mei.wait_for(reply.message, lambda message: "▰" in text_of(message))
        send = {"method": "POST", "route": f"/channels/{reply.message['channel_id']}/messages"}
        await mei.faults(failures=[EDIT | {"status": 400, "times": None}, send | {"status": 400, "times": refusals}])
        try:
            await addressed(mei, number(reply.message))
        finally:
            await mei.faults(failures=[])


async def addressed(member: Member, job: int) -> None:
    """Wait for the message of its own that tells a member how their job ended."""
    line = in_chinese("for {member}").replace("{member}", "<@")
    async with asyncio.timeout(120):
        while True:
            for message in (await member.state())["messages"]:
                if line in (text := text_of(message)) and f"#{job}" in text:
                    return
            await asyncio.sleep(0.3)


async def test_what_may_not_be_done_here(studio: Studio, mei: Scripted, linus: Scripted, barbara: Scripted) -> None:
    """By whom, to what, with what is older than this version."""
    message = await mei.made(await mei.command(f"/imagine prompt:房 {QUICK} seed:900"))
    await barbara.permit("imagine", {"member": "Linus", "allow": False})
    await linus.refused(await linus.press(message, "vary"))
    await barbara.permit("imagine")
    await linus.refused(await linus.press(message, "delete"))
    two = await mei.made(await mei.command(f"/imagine prompt:房 {QUICK} seed:8 count:2"))
    asked = await linus.menu_command("Upscale", message=two)
    await mei.press(two, "delete", until="acknowledged")
    await linus.refused(await linus.press(asked.message, "upscale"))
    await linus.refused(await linus.forge_modal("easel:new:unheardof:1", {}))
    slow = await mei.command(f"/imagine prompt:房 {LONG}")
    await mei.faults(failures=[EDIT | {"delay_s": 4.0, "times": None}])
    await mei.cancel(slow.message)
    await mei.refused(await mei.press(slow.message, "cancel"))
    await mei.faults(failures=[])
    await mei.ended(slow)
    reply = await mei.command("/upscale", {"factor": 2}, files={"image": boats()})
    await studio.stop(signal.SIGKILL)
    await studio.start()
    await mei.ended(reply)


async def shown_to(member: Scripted, command: str, options: Any = None) -> Json:
    """What is shown to a member alone, once it stands there."""
    reply = await member.command(command, options)
    return await member.wait_for(reply.message, lambda message: message["components"])


async def use(member: Scripted, message: Json, action: str) -> Json:
    """Press the first button of a panel that does this, and see what stands there then."""
    done.add(f"use {action}")
    found = [str(one["custom_id"]) for one in buttons_of(message) if not one.get("disabled")]
    await member.click(message, next(one for one in found if f":{action}:" in one), until="acknowledged")
    return await member.wait_for(message, lambda now: now["revision"] > message["revision"])


async def test_jobs_found_again(mei: Scripted, linus: Scripted) -> None:
    """/history, /show, /queue, and the stars."""
    options = {"prompt": "船", "style": "watercolour", "lora": "neon:0.5", "steps": 4, "width": 32, "height": 32}
    two, *_ = [await linus.made(await linus.command("imagine", {**options, "count": 2})) for _ in range(3)]
    for _ in range(2):
        await linus.press(two, "star", 1)
    await linus.made(await linus.press(two, "upscale", 1))
    again = await linus.made(await linus.press(two, "reroll"))
    await linus.press(again, "star", 1)
    await linus.made(await linus.press(again, "vary", 1))
    described = await linus.made(await linus.command("describe", {"job": number(two), "task": "caption"}))
    await linus.made(await linus.press(described, "realise"))
    page = await shown_to(linus, "/history")
    for action in ("history", "favourites", "favourites", "suggestions", "suggestions"):
        page = await use(linus, page, action)
    await linus.use(page, "show", str(number(described)))
    form = await linus.use(page, "search")
    await linus.submit(form, {"words": "鲸"}, until="acknowledged")
    await linus.wait_for(page, lambda message: "鲸" in text_of(message))
    await shown_to(linus, "history", {"words": "船", "command": "upscale", "model": "starter", "favourites": True})
    assert await linus.complete("imagine", "style", style="")
    for asked in ({"job": number(two)}, {"job": number(two), "picture": 2}, {"job": number(described)}):
        await shown_to(linus, "show", asked)
    for message in (again, described):
        await shown_to(mei, "show", {"job": number(message)})
    for asked in ({"job": 90_000}, {"job": number(two), "picture": 4}):
        await linus.refused(await linus.command("show", asked))
    await shown_to(linus, "/queue")
    slow = await mei.command(f"/imagine prompt:房 {LONG}")
    await mei.wait_for(slow.message, lambda message: "▰" in text_of(message))
    waiting = await mei.command(f"/imagine prompt:房 {LONG}")
    for reply in (slow, waiting):
        await shown_to(mei, "show", {"job": number(reply.message)})
    queue = await shown_to(mei, "/queue")
    for action in ("dequeue", "queue"):
        queue = await use(mei, queue, action)
    await linus.refused(await linus.forge_click(page, f"easel:new:dequeue:{number(waiting.message)}:0"))
    await linus.refused(await linus.forge_click(page, "easel:new:history:9000:"))
    await mei.cancel(waiting.message)
    for reply in (slow, waiting):
        await mei.ended(reply)


async def test_settings_of_a_server_and_of_a_channel(
    studio: Studio, mei: Scripted, linus: Scripted, barbara: Scripted
) -> None:
    """/settings, its pages and forms, and what members hear of it."""

    async def fill(message: Json, action: str, fields: dict[str, str], *values: str) -> Json:
        reply = await barbara.submit(await barbara.use(message, action, *values), fields)
        await barbara.settled(reply, quiet_s=0.3)
        return await barbara.wait_for(message, lambda _: True)

    asked = {"prompt": "房", "steps": 4, "seed": "5"}
    painted = await mei.made(await mei.command("imagine", asked | {"count": 2}))
    whole = (await barbara.command("/settings")).message
    # The roles of this server are what its owner has called them.
    TYPED.add("Moderators")
    limits = dict.fromkeys(("waiting", "hour", "day"), "9")
    for name, value, wrong in (("pixels", "64x64", "大"), ("steps", "5", "0"), ("count", "1", "9999")):
        await barbara.refused(await barbara.submit(await barbara.use(whole, "settingpick", name), {name: wrong}))
        whole = await fill(whole, "settingpick", {name: value}, name)
    for more in ({"count": 2}, {"steps": 6}, {"width": 128}):
        await mei.refused(await mei.command("imagine", asked | more))
    channel = await barbara.panel(whole, "settingscope", str(PICTURES_ID))
    chosen_of = {
        "commands": ["classify"],
        "models": [],
        "model": ["starter"],
        "style": ["cartoon"],
        "flagged": ["spoiler"],
    }
    for name, chosen in chosen_of.items():
        channel = await barbara.panel(channel, "settingpick", name)
        channel = await barbara.panel(channel, "settingchoose", *chosen)
        if name == "commands":
            await mei.refused(await mei.command("imagine", asked))
            channel = await barbara.panel(channel, "settingclear")
        if name == "models":
            await mei.refused(await mei.command("imagine", asked))
            channel = await barbara.panel(channel, "settingclear")
        if name in ("style", "flagged"):
            await mei.complete("imagine", "style", style="")
            channel = await barbara.panel(channel, "settingclear")
        channel = await barbara.panel(channel, "settings")
    channel = await barbara.panel(channel, "settingpick", "words")
    channel = await fill(channel, "blockwords", {"words": "\n".join(f"鬼{number}" for number in range(30))})
    done.add("use settingpage")
    [more] = [str(one["custom_id"]) for one in buttons_of(channel) if str(one["custom_id"]).endswith(":words:1")]
    await barbara.click(channel, more, until="acknowledged")
    await mei.refused(await mei.command("imagine", {"prompt": "鬼1"}))
    await barbara.refused(await barbara.submit(await barbara.use(channel, "allowwords"), {"words": "鬼"}))
    await barbara.refused(await barbara.submit(await barbara.use(channel, "blockwords"), {"words": "…"}))
    channel = await fill(channel, "allowwords", {"words": ", ".join(map(str, range(31)))})
    whole = await barbara.panel(await barbara.panel(channel, "settings"), "settings")
    whole = await barbara.panel(whole, "settingpick", "words")
    whole = await fill(whole, "blockwords", {"words": "鬼"})
    await mei.refused(await mei.command("imagine", {"prompt": "鬼"}))
    whole = await fill(whole, "allowwords", {"words": "1"})
    whole = await barbara.panel(await barbara.panel(whole, "settings"), "settingpick", "members")
    whole = await barbara.panel(whole, "blockmember", str(LINUS_ID))
    await linus.refused(await linus.command("imagine", asked))
    whole = await barbara.panel(whole, "blockmember", str(LINUS_ID))
    whole = await barbara.panel(await barbara.panel(whole, "settings"), "settingmore", "roles")
    whole = await fill(whole, "rolelimits", limits, str(GUILD_ID + 11))
    whole = await fill(whole, "rolelimits", dict.fromkeys(limits, ""), str(GUILD_ID + 11))
    whole = await barbara.panel(whole, "settings")
    for name in limits:
        whole = await fill(whole, "settingpick", {name: "0"}, name)
        await mei.refused(await mei.command("imagine", asked))
        whole = await fill(whole, "settingpick", {name: ""}, name)
    for name in ("pixels", "steps", "count"):
        whole = await fill(whole, "settingpick", {name: ""}, name)
    whole = await barbara.panel(whole, "settingpick", "log")
    whole = await barbara.panel(await barbara.panel(whole, "settingchoose", str(GENERAL_ID)), "settings")
    last = await linus.made(await linus.command("imagine", asked | {"seed": "21"}))
    told = await barbara.logged(GENERAL_ID, number(last))
    await barbara.refused(await barbara.press(told, "logblock"))
    await barbara.press(told, "logdelete", until="acknowledged")
    whole = await barbara.panel(await barbara.panel(whole, "settingpick", "members"), "blockmember", str(LINUS_ID))
    whole = await barbara.panel(await barbara.panel(whole, "settings"), "settingpick", "log")
    whole = await barbara.panel(await barbara.panel(whole, "settingclear"), "settings")
    await barbara.refused(await barbara.forge_click(painted, "easel:new:settingpick:7", ["models"]))
    await mei.refused(await mei.forge_click(painted, "easel:new:settings:0"))
    async with Scripted(studio.sandbox.url, "Barbara", "@easel") as alone:
        await alone.refused(await alone.command("/settings"))
    # What is refused whatever is set.
    TYPED.update(("nude", "child"))
    await mei.refused(await mei.command("imagine", {"prompt": "nude child"}))


async def test_loras_of_ones_own(mei: Scripted, linus: Scripted, barbara: Scripted) -> None:
    """/loras, for whoever has trained one and for moderators, and what others hear of it."""

    async def press(who: Scripted, page: Json, custom_id: str, *values: str) -> Json:
        done.add(f"use {custom_id.split(':')[2]}")
        reply = await who.click(page, custom_id, list(values) or None, until="acknowledged")
        await who.settled(reply, quiet_s=0.3)
        return await who.wait_for(page, lambda _: True)

    for who in (linus, barbara):
        assert not (await who.command("/loras")).message["attachments"]
    while not await mei.complete("imagine", "lora", lora="7"):  # noqa: ASYNC110 — nobody else tells of it
        await asyncio.sleep(0.2)
    own = await mei.made(await mei.command("imagine", {"prompt": "房", "steps": 4, "seed": "31", "lora": "7"}))
    await linus.refused(await linus.press(own, "reroll"))
    page = await press(mei, (await mei.command("/loras")).message, "easel:new:lorapick:own", "1")
    form = await mei.use(page, "lorarename")
    for name in ("帽", "8"):
        await mei.settled(await mei.submit(form, {"name": name}, until="acknowledged"), quiet_s=0.3)
        form = await mei.use(page, "lorarename")
    await mei.settled(await mei.use(page, "loraload", until="acknowledged"), quiet_s=1)
    for share in ("all", "own", "server"):
        page = await press(mei, page, f"easel:new:lorashare:{share}:1")
    for decision in ("refused", "usable"):
        looked = await press(barbara, (await barbara.command("/loras")).message, "easel:new:lorapick:server", "1")
        looked = await press(barbara, looked, f"easel:new:loradecide:{decision}:1")
    shown_to_all = await linus.command("imagine", {"prompt": "房", "steps": 4, "seed": "32", "lora": "8"})
    others = await linus.made(shown_to_all)
    page = await press(mei, (await mei.command("/loras")).message, "easel:new:lorapick:own", "1")
    page = await press(mei, await press(mei, page, "easel:new:loraremove:1"), "easel:new:loras:")
    page = await press(mei, await press(mei, page, "easel:new:lorapick:own", "1"), "easel:new:loraremove:1")
    page = await press(mei, page, "easel:new:loradelete:1")
    await linus.refused(await linus.press(others, "reroll"))
    await mei.refused(await mei.forge_click(page, "easel:new:lorashare:own:1"))


async def test_what_moderators_read(mei: Scripted, barbara: Scripted) -> None:
    """/audit and its pages, and /stats."""
    for period in ("day", "week", "month"):
        for who in (mei, barbara):
            await who.settled(await who.command("stats", {"period": period}), quiet_s=0.3)
    page = (await barbara.settled(await barbara.command("/audit"), quiet_s=0.3)).messages[-1]
    for _ in range(4):
        [older] = [one["custom_id"] for one in buttons_of(page) if str(one["custom_id"]).endswith(":older")]
        reply = await barbara.click(page, older, until="acknowledged")
        await barbara.settled(reply, quiet_s=0.3)
        page = await barbara.wait_for(page, lambda _: True)
    done.add("use audit")
    await barbara.settled(await barbara.use(page, "auditcsv", until="acknowledged"), quiet_s=0.3)
    await barbara.settled(await barbara.command("audit", {"member": str(LINUS_ID)}), quiet_s=0.3)


async def test_choices_are_offered_for_whatever_is_typed(mei: Scripted) -> None:
    """All that Discord asks for while a member types."""
    await mei.made(await mei.command("classify", {"labels": "房, 船"}, files={"image": boats()}))
    for command, option in completed():
        assert isinstance(await mei.complete(command, option, **{option: ""}), list)
    assert await mei.complete("imagine", "lora", lora="neon:1, ") == []
    assert await mei.complete("imagine", "lora", lora="")


async def test_trainings(studio: Studio, mei: Scripted, linus: Scripted, barbara: Scripted) -> None:
    """/train, from its form to its end."""
    said = {"name": "007", "trigger": "猫", "consent": "猫", "license": "猫"}
    colours = ("red", "blue", "green", "yellow", "white", "black")
    scenes = [Scene("boat", colour, 1, "large", "sea", seed=1) for colour in colours]
    uploads = [(f"{place}.png", png(render(scene))) for place, scene in enumerate(scenes)]
    for who in (mei, linus):
        home = (await who.command("/train")).message
        form = await who.use(home, "trainnew")
        panel = await who.sent(home, form, said, files={"pictures": [*uploads[:4], ("x.png", b"?")]})
        form, one = await who.command("train", {"kind": "style"}), {"pictures": uploads[:1]}
        await who.refused(await who.submit(form, {**said, "license": " "}, files=one))
        await who.refused(await who.command("train", {"model": "?"}))
        panel = await who.sent(panel, await who.use(panel, "trainadd"), {}, files={"pictures": uploads[4:]})
        word = str(number(panel))
        await captioned(studio)
        page = await who.panel(panel, "traincaptions", word=f"{word}:0")
        page = await who.sent(page, await who.use(page, "traincaption", "1"), {"words": ""})
        page = await who.panel(page, "trainwrite")
        await captioned(studio)
        page = await who.panel(page, "traincaptions", word=f"{word}:1")
        page = await who.panel(page, "traincaptions", word=f"{word}:0")
        page = await who.sent(page, await who.use(page, "traincaption", "1"), {"words": "船"})
        page = await who.sent(page, await who.use(page, "trainall"), {"words": "1: 船\n2: 船 船"})
        for wrong in ("船", "99: 船", "1: 船\n1: 船", "1: " + "船" * 2001):
            await who.refused(await who.submit(await who.use(page, "trainall"), {"words": wrong}))
        await who.refused(await who.submit(await who.use(page, "trainreplace"), {"old": "鱼"}))
        page = await who.sent(page, await who.use(page, "trainreplace"), {"old": "船", "new": "舟"})
        page = await who.panel(page, "trainremove", "2")
        panel = await who.panel(page, "train")
        for wrong in ({"steps": "?"}, {"steps": "99999"}, {"rate": "9"}, {"steps": "1", "epochs": "2"}):
            await who.refused(await who.submit(await who.use(panel, "trainnumbers"), wrong))
        panel = await who.sent(panel, await who.use(panel, "trainnumbers"), {"steps": "2", "epochs": "2", "rank": "1"})
        panel = await who.sent(panel, await who.use(panel, "traindetails"), {"what": ["subject:starter"]})
        panel = await who.panel(panel, "trainstart")
        await who.refused(await who.forge_click(panel, f"easel:new:trainstart:{word}"))
        panel = await who.panel(panel, "trainstop")
        await who.refused(await who.forge_click(panel, f"easel:new:trainstop:{word}"))
        panel = await who.panel(panel, "traingo")
        await who.refused(await who.forge_click(panel, f"easel:new:traingo:{word}"))
        await who.refused(await who.forge_click(panel, f"easel:new:trainchoose:{word}:9"))
        panel = await who.panel(panel, "train", word=word)
        if who is mei:
            async with asyncio.timeout(120):
                while "easel:new:lorapick:" not in str(panel["components"]):
                    panel = await who.panel(panel, "train", word=word)
            panel = await who.panel(panel, "trainlook", "1")
            panel = await who.panel(panel, "trainchoose")
        panel = await who.panel(panel, "traindelete")
        panel = await who.panel(panel, "train")
        for source in ("favourites", "here"):
            await who.refused(await who.submit(await who.command("train", {"pictures": source}), said))
        home = await who.panel(panel, "train", word="")
        home = await who.panel(home, "trainopen", word)
    await linus.refused(await linus.forge_click(home, "easel:new:train:1"))
    await linus.refused(await linus.forge_click(home, "easel:new:train:999"))
    await linus.refused(await linus.forge_click(home, "easel:new:train:server"))
    home = (await barbara.command("/train")).message
    home = await barbara.panel(home, "train", word="server")
    panel = await barbara.panel(home, "trainopen", word)
    panel = await barbara.panel(panel, "traindelete")
    await barbara.panel(panel, "traindelete")


async def captioned(studio: Studio) -> None:
    """Wait until every picture that is learned from has words, which are the describer's own."""
    async with asyncio.timeout(60):
        while "" in (words := shown.captions(studio.data / "easel.sqlite3")):  # noqa: ASYNC110 — nobody tells of it
            await asyncio.sleep(0.1)
    TYPED.update(words)


async def test_what_is_ones_own(studio: Studio, mei: Scripted, linus: Scripted) -> None:
    """/me, /key, /help and /privacy, up to the end of everything."""
    # What the last tests look at.
    TYPED.update(shown.answers(studio.data / "easel.sqlite3"))
    drawn.extend(shown.drawn(studio.data / "easel.sqlite3"))
    for who in (mei, linus):
        keys = (await who.command("/key")).message
        await who.command("/key name:猫")
        keys = (await who.command("/key")).message
        [number_of_key] = re.findall(r"#(\d+) 猫", text_of(keys))
        assert "猫" not in text_of(await who.panel(keys, "keyrevoke", number_of_key))
        home = (await who.command("/me")).message
        form = {"model": "starter", "size": "64x64", "style": "watercolour", "negative": "雾"}
        await who.submit(await who.use(home, "medefaults"), form, until="acknowledged")
        home = await who.panel(home, "meping", "message:5")
        home = await who.panel(home, "melanguage", "-")
        for wrong in ({"size": "?"}, {"style": "帽"}, {"model": "帽"}):
            await who.refused(await who.submit(await who.use(home, "medefaults"), wrong))
        for action in ("melanguage", "meping"):
            await who.refused(await who.forge_click(home, f"easel:new:{action}:", ["?"]))
        topics = (await who.command("/help")).message
        for topic in ("paint", "further", "find", "own"):
            topics = await who.panel(topics, "help", topic)
        await who.refused(await who.forge_click(topics, "easel:new:help:", ["?"]))
        home = await who.panel(home, "mereset")
        await who.made(await who.command(f"/imagine prompt:房 {QUICK} seed:3"))
        data = (await who.command("/privacy")).message
        await who.settled(await who.use(data, "export"), quiet_s=1)
        data = await who.panel(data, "askerase")
        data = await who.panel(data, "privacy")
        data = await who.panel(data, "askerase")
        await who.use(data, "erase", until="acknowledged")
        await who.wait_for(data, lambda message: not buttons_of(message))


def completed() -> list[tuple[str, str]]:
    """The options whose choices the bot is asked for."""
    return [
        (command.name, parameter.display_name)
        for command in commands.load().commands.values()
        if isinstance(command, app_commands.Command)
        for parameter in command.parameters
        if parameter.autocomplete
    ]


def in_chinese(word: str) -> str:
    """A text as Mei reads it."""
    with speaking(CHINESE):
        return say(word)


async def test_members_have_used_all_that_there_is() -> None:
    """So that nothing new goes untranslated because nobody looked at it."""
    slices = commands.load()
    there = {command.name for command in slices.commands.values()}
    there |= {f"use {action}" for action in slices.panels}
    there |= {f"press {action}" for action in slices.presses} | {f"submit {action}" for action in slices.forms}
    there |= {" ".join(one) for one in completed()}
    assert there - done == set()


async def test_no_word_is_left_that_was_not_translated(studio: Studio, mei: Scripted) -> None:
    """In any message, form, list of choices or description."""
    log = await mei.log()
    known = shown.names(studio.data.parent / "models.toml", ROOT / "styles.toml")
    known |= shown.answers(studio.data / "easel.sqlite3") | TYPED | AXES | NAMES
    seen = [*shown.said(log), *shown.registered(log), *drawn, *shown.drawn(studio.data / "easel.sqlite3")]
    assert {where for where, _ in seen} >= {"compare", "grid", "imagine prompt"}
    assert len({text for _, text in seen}) > 300
    left = {
        f"{text!r} in {where}: {', '.join(words)}" for where, text in seen if (words := shown.plain_words(text, known))
    }
    assert not left, "\n".join(sorted(left))


async def test_everybody_is_answered_in_their_own_language(mei: Scripted) -> None:
    """Also where one presses what stands under the other's pictures, and after the bot or the engine was killed."""
    log = await mei.log()
    askers = {entry["path"].split("/")[3]: asked.get(entry["path"].split("/")[2]) for entry in log if callback(entry)}
    heard: dict[str, set[str]] = {"Mei": set(), "Linus": set()}
    for entry in log:
        for token in filter(askers.get, entry["path"].split("/")):
            heard.setdefault(str(askers[token]), set()).update(text for _, text in shown.said([entry]))
    assert not [text for text in heard["Mei"] if re.search(f"[{catalogues.ACCENTS}]", text)]
    # One sign alone is what somebody typed.
    others = set().union(*(texts for who, texts in heard.items() if who != "Mei"))
    others -= set(LANGUAGES.values())
    assert not [text for text in others if re.search("[\u4e00-\u9fff]{2}", text)]
    assert min(len(heard["Mei"]), len(heard["Linus"])) > 20


def callback(entry: Json) -> bool:
    return bool(re.fullmatch(r"/interactions/\d+/[^/]+/callback", entry["path"]))


async def test_word_that_is_left_would_be_found() -> None:
    """Wherever a label, a sentence or a description stands."""

    def said(body: Json) -> list[str]:
        texts = shown.said([{"method": "POST", "path": "/x", "request": body}])
        return [word for _, text in texts for word in shown.plain_words(text, {"Starter"})]

    assert said({"components": [{"type": 17, "components": [{"type": 10, "content": "**房**\n-# #1 · ready"}]}]}) == [
        "ready"
    ]
    assert said({"components": [{"components": [{"type": 2, "label": "Delete", "custom_id": "easel:delete:1"}]}]}) == [
        "Delete"
    ]
    assert said({"data": {"title": "Éđíť", "components": [{"label": "Steps", "component": {"value": "none"}}]}}) == [
        "Steps"
    ]
    assert said({"data": {"choices": [{"name": "Starter (Starter) · old", "value": "x"}]}}) == ["old"]
    assert said(
        {"attachments": [{"filename": "x.png", "description": "alt"}], "content": "`code` <t:1:R> /imagine"}
    ) == ["alt"]
    option = {"name": "x", "description": "One", "choices": [{"name": "two", "value": 1}]}
    command = {
        "name": "imagine",
        "type": 1,
        "description": "Óñé",
        "description_localizations": None,
        "options": [option],
    }
    menu = {"name": "Show", "type": 3, "name_localizations": {"zh-CN": "看"}}
    found = shown.registered([{"method": "PUT", "path": "/applications/1/commands", "request": [command, menu]}])
    assert {word for _, text in found for word in shown.plain_words(text, ())} == {"One", "two", "Show"}
