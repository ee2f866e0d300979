"""/models, from the files on the operator's disk to what a member reads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.client.member import Member, buttons_of, text_of
from tests.e2e.asking import is_private
from tests.e2e.conftest import ROOT, Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """With more wildcards than one page holds, one of them in a folder."""
    folder: Path = tmp_path_factory.mktemp("models")
    catalogue = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    (folder / "words" / "animals").mkdir(parents=True)
    (folder / "words" / "colours.txt").write_text("red\n")
    (folder / "words" / "animals" / "cats.txt").write_text("a lynx\n")
    (folder / "models.toml").write_text(f'wildcards = "words"\n{catalogue}')
    for number in range(30):
        (folder / "words" / f"{'x' * 60}-{number:02}.txt").write_text("a boat\n")
    (folder / "styles.toml").write_text((ROOT / "styles.toml").read_text())
    async with running(folder / "data", EASEL_MODELS=str(folder / "models.toml")) as opened:
        yield opened


async def test_members_see_what_there_is_and_turn_the_pages(studio: Studio, ada: Member) -> None:
    asked = await ada.command("/models")
    assert is_private(asked)
    first = text_of(asked.message)
    assert "Starter** `starter` · the usual one · `sd1` · 64 × 64" in first
    assert re.search(r"`neon:[\d.]+`", first)
    assert "`__animals/cats__` `__colours__` `__xxx" in first
    assert "sdxl-turbo" not in first, "what is not on this machine is not shown"
    assert [button.get("disabled", False) for button in buttons_of(asked.message)] == [True, False]
    await ada.click(asked.message, "Next")
    turned = await ada.wait_for(asked.message, lambda message: text_of(message) != first)
    assert "-29__`" in text_of(turned)
    assert "Page 2 of 2" in text_of(turned)
    await ada.click(turned, "Previous")
    again = await ada.wait_for(asked.message, lambda message: text_of(message) != text_of(turned))
    assert text_of(again) == first
    assert await studio.problems() == []
