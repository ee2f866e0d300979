"""What the operator wants checked is never shown unchecked: real bot, real engine, the starter's safety checker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.client.member import Member, text_of
from starter.render import render
from starter.world import Scene
from tests.e2e.asking import BOATS, finished, has_button, painted, png
from tests.e2e.conftest import ROOT, Studio, running

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
