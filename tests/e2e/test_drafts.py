"""A model that paints drafts, as members choose it: the card says so, and a seed is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.client.member import Member, text_of
from tests.e2e.asking import painted, picture
from tests.e2e.conftest import Studio, running
from tests.e2e.test_add_ons import MODELS, STARTER

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    models = tmp_path_factory.mktemp("models") / "models.toml"
    whole = MODELS.partition("[loras")[0].replace('wildcards = "wild"\n', "")
    table = whole.partition("[models.starter]")[2].replace("steps = 4", "steps = 8")
    draft = f'{table.replace("Starter", "Starter, drafts")}cpu_batch = 2\nspeed = "draft"\n'
    models.write_text(f"{whole}[models.draft]{draft}".format(starter=STARTER))
    async with running(tmp_path_factory.mktemp("data"), EASEL_MODELS=str(models)) as opened:
        yield opened


async def test_a_draft_says_what_it_is_and_keeps_its_seed(ada: Member) -> None:
    asked = {"prompt": "a red house", "seed": "7", "steps": 12}
    card, [draft] = await painted(ada, await ada.command("imagine", {**asked, "model": "draft"}))
    assert "This is a draft: 4 of 12 steps were foretold" in text_of(card)
    recipe = json.loads(picture(draft).info["easel"])
    assert recipe["policy"]["speed"] == "draft"
    assert recipe["draft"]["method"] == "TaylorSeer"
    _, again = await painted(ada, await ada.command("imagine", {**asked, "model": "draft", "count": 2}))
    assert picture(again[0]).tobytes() == picture(draft).tobytes()
    card, [whole] = await painted(ada, await ada.command("imagine", asked))
    assert "draft" not in text_of(card)
    assert "draft" not in json.loads(picture(whole).info["easel"])
    assert picture(whole).tobytes() != picture(draft).tobytes()


async def test_where_no_step_can_be_left_out_the_card_says_so(ada: Member) -> None:
    asked = {"prompt": "a red house", "seed": "7", "model": "draft", "steps": 6}
    card, _ = await painted(ada, await ada.command("imagine", {**asked, "sampler": "Euler a"}))
    assert "A draft leaves no step out with Euler a" in text_of(card)
    card, _ = await painted(ada, await ada.command("imagine", {**asked, "steps": 3}))
    assert "A draft leaves none of so few steps out" in text_of(card)
