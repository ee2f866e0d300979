"""/train as members use it: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
from typing import Any

import pytest

from sandbox.client.member import Json, Member, Reply, buttons_of, media_of, text_of
from starter.render import render
from starter.world import Scene
from tests.e2e.asking import QUICK, is_private, painted, png
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = {"name": "My Boats", "trigger": "hatched", "consent": "drawn by me", "license": "CC BY 4.0"}

SCENES = [Scene("boat", colour, 1, "large", "sea", seed=seed) for seed, colour in enumerate(("red", "blue", "green"))]
SCENES += [Scene("house", colour, 1, "large", "meadow", seed=1) for colour in ("red", "blue", "white")]


def files(scenes: list[Scene]) -> list[tuple[str, bytes]]:
    """Pictures of these scenes, as members upload them."""
    return [(f"{number}.png", png(render(scene))) for number, scene in enumerate(scenes)]


async def used(member: Member, message: Json, action: str, *values: str, word: str | None = None) -> Json:
    """A panel once something of it was used and it shows what came of that."""
    await member.click(message, custom_id(message, action, word), list(values) or None, until="acknowledged")
    return await member.wait_for(message, lambda now: now["revision"] > message["revision"])


def custom_id(message: Json, action: str, word: str | None = None) -> str:
    """The button or menu of this action, and of this word where there are several."""
    found = re.findall(rf'"custom_id": "(easel:new:{action}:[^"]*)"', dumped(message))
    wanted = [one for one in found if word is None or one == f"easel:new:{action}:{word}"]
    assert wanted, (action, word, dumped(message))
    return wanted[0]


def dumped(message: Json) -> str:
    """The message as JSON."""
    return json.dumps(message)


async def filled(member: Member, message: Json, action: str, fields: Json, *values: str, **more: Any) -> Json:
    """The panel once the form that opens there was sent."""
    opened = await member.click(message, custom_id(message, action), list(values) or None)
    assert opened.modal is not None
    await member.submit(opened, fields, until="acknowledged", **more)
    return await member.wait_for(message, lambda now: now["revision"] > message["revision"])


async def captioned(member: Member, panel: Json) -> Json:
    """The panel once all captions are there."""
    number = training_of(panel)
    while "are being written" in text_of(panel):
        panel = await used(member, panel, "train", word=str(number))
    return panel


def training_of(panel: Json) -> int:
    """The number of a panel's training."""
    found = re.search(r"#(\d+)", text_of(panel))
    assert found is not None
    return int(found[1])


async def begun(member: Member, scenes: list[Scene], **fields: str) -> Json:
    """The panel of a new training on these."""
    opened = await member.command("/train kind:style")
    assert opened.modal is not None
    reply: Reply = await member.submit(opened, FORM | fields, files={"pictures": files(scenes)})
    assert is_private(reply)
    return await member.wait_for(reply.message, lambda now: now["components"], timeout_s=60)


def rows(studio: Studio, sql: str) -> list[tuple[Any, ...]]:
    """What the bot's database answers."""
    with contextlib.closing(sqlite3.connect(studio.data / "easel.sqlite3")) as database:
        return database.execute(sql).fetchall()


async def test_training_is_prepared_from_uploads_to_its_start(studio: Studio, ada: Member, linus: Member) -> None:
    home = (await ada.command("/train")).message
    assert "You have none yet" in text_of(home)
    panel = await begun(ada, SCENES[:4])
    assert "4 (5 to 200" in text_of(panel)
    assert "my-boats" in text_of(panel)
    assert "5 are the least" in text_of(panel)
    # Two more, of which one is there already and one is no picture.
    opened = await ada.click(panel, custom_id(panel, "trainadd"))
    more = [*files(SCENES[3:]), ("x.png", b"no picture")]
    await ada.submit(opened, {}, files={"pictures": more}, until="acknowledged")
    panel = await ada.wait_for(panel, lambda now: "6 (5 to 200" in text_of(now))
    panel = await captioned(ada, panel)
    assert "6 of 6 have words" in text_of(panel)
    captions = [caption for [caption] in rows(studio, "SELECT caption FROM training_picture ORDER BY number")]
    assert "boat" in captions[0]
    assert "house" in captions[-1]
    assert rows(studio, "SELECT count(*) FROM job") == [(0,)], "nothing of it is left in anybody's history"

    page = await used(ada, panel, "traincaptions")
    assert captions[0] in text_of(page).replace("\\", "")
    page = await filled(ada, page, "traincaption", {"words": "a red boat, my own words"}, "1")
    assert "my own words" in text_of(page)
    page = await filled(ada, page, "trainall", {"words": "2: a blue boat\n3: a green boat"})
    page = await filled(ada, page, "trainreplace", {"old": "BOAT", "new": "ship"})
    page = await used(ada, page, "trainremove", "3")
    captions = [caption for [caption] in rows(studio, "SELECT caption FROM training_picture ORDER BY number")]
    assert captions[:2] == ["a red ship, my own words", "a blue ship"]
    assert len(captions) == 5

    panel = await used(ada, page, "train")
    panel = await filled(ada, panel, "trainnumbers", {"steps": "4", "epochs": "2", "rate": "1e-3"})
    assert "**Steps** 4" in text_of(panel)
    assert "0.001" in text_of(panel)
    panel = await filled(ada, panel, "traindetails", {"trigger": "etched", "what": ["subject:starter"]})
    assert "a subject" in text_of(panel)
    assert "etched" in text_of(panel)

    # Nobody else may press, whatever their client sends.
    number = training_of(panel)
    theirs = (await linus.command("/train")).message
    for action, word in (("train", f"{number}"), ("trainstart", f"{number}"), ("traindelete", f"{number}:sure")):
        refused = await linus.forge_click(theirs, f"easel:new:{action}:{word}")
        assert "somebody else's" in text_of(refused.message), action
    refused = await linus.forge_modal(f"easel:new:traincaption:{number}:1:0", {"words": "x"})
    assert "somebody else's" in text_of(refused.message)

    started = await ada.click(panel, custom_id(panel, "trainstart"))
    public = [message for message in (await ada.settled(started, quiet_s=1)).messages if not message["flags"] & 64]
    assert len(public) == 1
    assert has(public[0], "trainstop")
    assert "my-boats" in text_of(public[0])
    assert not await studio.problems()


def has(message: Json, action: str) -> bool:
    return any(f":{action}:" in str(button.get("custom_id")) for button in buttons_of(message))


async def called(member: Member) -> list[Json]:
    """What tells the owner of a training that it has ended."""
    return [message for message in (await member.state())["messages"] if "second is finished" in message["content"]]


async def test_training_comes_to_its_end_and_an_epoch_is_taken(studio: Studio, ada: Member, linus: Member) -> None:
    panel = await captioned(ada, await begun(ada, SCENES, name="second"))
    number = training_of(panel)
    panel = await filled(ada, panel, "trainnumbers", {"steps": "4", "epochs": "2", "rate": "1e-3"})
    started = await ada.click(panel, custom_id(panel, "trainstart"))
    [public] = [message for message in (await ada.settled(started, quiet_s=1)).messages if not message["flags"] & 64]
    await ada.wait_for(public, lambda now: "being trained" in text_of(now), timeout_s=120)
    # Its message is kept up to date by whoever runs then.
    await studio.stop()
    await studio.start()
    public = await ada.wait_for(public, lambda now: "4/4" in text_of(now) and "finished" in text_of(now), timeout_s=180)
    assert "epoch 2 of 2" in text_of(public)
    public = await ada.wait_for(public, lambda now: len(media_of(now)) == 1)
    assert [name for name, _ in await ada.files(public)] == ["loss.png"], "no preview before everybody"
    # Its owner is told after the message was edited.
    async with asyncio.timeout(30):
        while not (told := await called(ada)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert len(told) == 1

    shown = await linus.click(public, custom_id(public, "train"))
    assert "somebody else's" in text_of(shown.message)
    shown = await ada.click(public, custom_id(public, "train"))
    panel = await ada.wait_for(shown.message, lambda now: len(media_of(now)) == 2)
    [last, _loss] = [data for _, data in await ada.files(panel)]
    panel = await used(ada, panel, "trainlook", "1")
    panel = await ada.wait_for(panel, lambda now: len(media_of(now)) == 2)
    [first, _loss] = [data for _, data in await ada.files(panel)]
    assert first != last
    panel = await used(ada, panel, "trainchoose")
    assert "epoch 1 is what comes of it" in text_of(panel)
    assert rows(studio, f"SELECT state, chosen FROM training WHERE id = {number}") == [("ended", 1)]
    while not has(panel, "lorapick"):
        panel = await used(ada, panel, "train", word=str(number))
    assert "`<lora:second:0.8>`" in text_of(panel)
    await painted(ada, await ada.command(f"/imagine prompt:a red boat, hatched <lora:second:0.8> {QUICK}"))
    page = await used(ada, panel, "lorapick")
    assert "second" in text_of(page)
    assert has(page, "loraload")
    assert len(await called(ada)) == 1
    assert not await studio.problems()
