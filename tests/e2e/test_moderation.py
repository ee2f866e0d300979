"""What the operator wants checked is never shown unchecked: real bot, real engine, the starter's safety checker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.client.member import Json, Member, text_of
from sandbox.limits.components import walk
from starter.render import render
from starter.world import Scene
from tests.e2e.asking import BOATS, finished, has_button, painted, png
from tests.e2e.conftest import ROOT, Studio, running
from tests.e2e.test_settings import opened, use

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """As everywhere, but with the starter's checker turned on."""
    folder: Path = tmp_path_factory.mktemp("moderated")
    catalogue = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    catalogue = catalogue.replace('checker = "none"', 'checker = "starter"', 1)
    catalogue = catalogue.replace('checker = "nsfw"', 'checker = "starter"', 1)
    (folder / "models.toml").write_text(catalogue)
    async with running(folder / "data", EASEL_MODELS=str(folder / "models.toml")) as opened:
        yield opened


async def test_flagged_picture_is_withheld_with_a_sentence(ada: Member) -> None:
    reply = await ada.command("/imagine prompt:a large red mushroom on a meadow by day, flat style seed:1")
    message = await finished(ada, reply)
    assert not await ada.pictures(message)
    assert "seed" in text_of(message)
    assert has_button(message, "Edit")


async def test_other_pictures_are_shown(ada: Member) -> None:
    _, pictures = await painted(
        ada, await ada.command("/imagine prompt:a large blue boat at sea by day, flat style seed:2")
    )
    assert len(pictures) == 1


async def test_flagged_upload_is_worked_on_by_no_command(ada: Member) -> None:
    mushroom = png(render(Scene("mushroom", "red", 1, "large", "meadow", seed=3), 128))
    words: dict[str, dict[str, object]] = {"imagine": {"prompt": "a house", "steps": 4}}
    for command in ("upscale", "describe", "classify", "imagine"):
        reply = await ada.command(command, words.get(command, {}), files={"image": ("given.png", mushroom)})
        message = await finished(ada, reply)
        assert "held your picture back" in text_of(message), command
        assert not await ada.pictures(message)


async def test_other_uploads_are_worked_on(ada: Member) -> None:
    boats = png(render(BOATS, 128))
    message = await finished(ada, await ada.command("upscale", files={"image": ("given.png", boats)}))
    assert len(await ada.pictures(message)) == 1


MUSHROOM = "/imagine prompt:a large red mushroom on a meadow by day, flat style seed:1"


async def set_flagged(studio: Studio, treatment: str | None) -> None:
    """Say, as the server's owner, what becomes of flagged pictures among adults."""
    async with Member(studio.sandbox.url, "Barbara") as barbara:
        shown = await use(barbara, await opened(barbara), "settingpick", "flagged")
        await (use(barbara, shown, "settingchoose", treatment) if treatment else use(barbara, shown, "settingclear"))


def hidden(message: Json) -> list[bool]:
    """Whether each picture of a message is hidden until somebody wants to see it."""
    galleries = [part["items"] for part in walk(message["components"]) if "items" in part]
    return [item["spoiler"] for items in galleries for item in items]


async def test_flagged_pictures_are_hidden_or_shown_among_adults_where_a_server_says_so(
    studio: Studio, ada: Member
) -> None:
    async with Member(studio.sandbox.url, "Ada", "after-dark") as adult:
        assert not await adult.pictures(await finished(adult, await adult.command(MUSHROOM)))
        await set_flagged(studio, "spoiler")
        message, pictures = await painted(adult, await adult.command(MUSHROOM))
        assert (len(pictures), hidden(message)) == (1, [True])
        again = await finished(adult, await adult.click(message, "U1"))
        assert hidden(again) == [True], "what is made of it"
        history = (await adult.command("/history")).message
        page = await adult.wait_for(history, lambda now: any("media" in part for part in walk(now["components"])))
        thumbnails = [part["spoiler"] for part in walk(page["components"]) if "media" in part]
        assert thumbnails[:2] == [True, True]
        # Everywhere else nobody sees it, whatever the server says: also what was made before.
        assert not await ada.pictures(await finished(ada, await ada.command(MUSHROOM)))
        await set_flagged(studio, "allow")
        message, pictures = await painted(adult, await adult.command(MUSHROOM))
        assert (len(pictures), hidden(message)) == (1, [False])
        await set_flagged(studio, None)
        assert not await adult.pictures(await finished(adult, await adult.command(MUSHROOM)))


async def test_what_is_set_while_a_job_waits_holds_for_what_it_paints(studio: Studio) -> None:
    async with Member(studio.sandbox.url, "Ada", "after-dark") as adult:
        await set_flagged(studio, "spoiler")
        long = await adult.command("/imagine prompt:a blue boat at sea steps:50 count:4")
        waiting = await adult.command(MUSHROOM.replace("seed:1", "seed:4"))
        await set_flagged(studio, None)
        await finished(adult, long)
        assert not await adult.pictures(await finished(adult, waiting))
