"""/edit by instruction: real bot, real engine with tiny models of every family that can, the sandbox as Discord."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import torch
from PIL import Image

from inference.protocol import place
from sandbox.client.member import Member, text_of
from starter.render import render
from tests.e2e.asking import BOATS, gone, has_button, number, painted, picture, png, refusal, said
from tests.e2e.conftest import ROOT, Studio, running
from tests.inference import tiny, tiny_editors

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD = render(BOATS, 256).crop((0, 64, 256, 192))
HAT, COAT = tiny.picture(60, 80, seed=1), tiny.picture(80, 80, "RGBA", seed=2)
ASKED = {"prompt": "put the hat and the coat on it", "model": "klein", "seed": "5"}
SHOWN = {"image": ("old.png", png(OLD)), "reference": ("hat.png", png(HAT)), "reference2": ("coat.png", png(COAT))}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """As everywhere, with a tiny model of each family that edits by instruction, and Qwen-Image."""
    folder: Path = tmp_path_factory.mktemp("instructed")
    torch.manual_seed(0)
    made = {name: make() for name, make in tiny_editors.MAKERS.items()}
    made["kontext"] = tiny_editors.kontext(tiny.MAKERS["flux-dev"]())
    for name, pipeline in made.items():
        pipeline.save_pretrained(folder / name)
    tiny_editors.write_loras(folder, made)
    catalogue = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    # The checker takes what random weights paint for anything.
    catalogue = catalogue.replace('checker = "nsfw"\n', "")
    (folder / "models.toml").write_text(catalogue + tiny_editors.CATALOG)
    async with running(folder / "data", EASEL_MODELS=str(folder / "models.toml"), cold=True) as opened:
        yield opened


async def test_picture_is_changed_as_told_beside_two_others_and_made_again_after_a_restart(
    studio: Studio, ada: Member
) -> None:
    message, [edited] = await painted(ada, await ada.command("edit", ASKED, files=SHOWN))
    assert "looks at 3 pictures" in text_of(message)
    # The picture's proportions, at the size that the model paints.
    assert picture(edited).size == (96, 48)
    shown = json.loads(picture(edited).info["easel"])["request"]["references"]
    assert [(each["width"], each["height"]) for each in shown] == [OLD.size, HAT.size, COAT.size]
    assert all(place(studio.data / "pictures", each["sha256"]).is_file() for each in shown)
    _, [alone] = await painted(ada, await ada.command("edit", ASKED, files={"image": SHOWN["image"]}))
    assert picture(alone).tobytes() != picture(edited).tobytes()
    again = f"/reroll job:{number(message)} seed:same"
    _, [same] = await painted(ada, await ada.command(again))
    assert same == edited
    _, [other] = await painted(ada, await ada.click(message, "Re-roll"))
    assert picture(other).tobytes() != picture(edited).tobytes()
    form = await ada.click(message, "Edit")
    assert await studio.stop() == 0
    await studio.start()
    for reply in (await ada.submit(form, {}), await ada.command(again)):
        _, [same] = await painted(ada, reply)
        assert same == edited
    _, variations = await painted(ada, await ada.click(message, "V1"))
    assert len(variations) == 4


async def test_inside_a_mask_it_is_done_and_all_else_stays_bit_for_bit(ada: Member) -> None:
    mask = Image.new("L", OLD.size)
    mask.paste(255, (20, 20, 120, 100))
    inside = np.asarray(mask) > 0
    shown, _ = await said(ada, await ada.command("edit", ASKED, files={**SHOWN, "mask": ("mask.png", png(mask))}))
    message, [edited] = await painted(ada, await ada.click(shown, "Go"))
    assert "looks at 3 pictures" in text_of(message)
    new = (np.asarray(picture(edited).convert("RGB")) != np.asarray(OLD)).any(2)
    assert not new[~inside].any()
    assert new[inside].mean() > 0.9


async def test_what_is_named_is_found_first_and_then_painted_beside_the_others(ada: Member) -> None:
    own = {**SHOWN, "reference": ("scarf.png", png(tiny.picture(70, 80, seed=3)))}
    before, _ = await painted(ada, await ada.command("edit", ASKED, files=own))
    found, _ = await said(ada, await ada.command("edit", {**ASKED, "what": "the boats"}, files=own))
    assert has_button(found, "Go")
    # What another job looked at goes with it, unless it will be looked at again.
    await ada.click(before, "Delete", until="acknowledged")
    await gone(ada, before)
    message, [edited] = await painted(ada, await ada.click(found, "Go"))
    assert "looks at 3 pictures" in text_of(message)
    assert picture(edited).size == OLD.size
    new = (np.asarray(picture(edited).convert("RGB")) != np.asarray(OLD)).any(2)
    assert 0.02 < new.mean() < 0.9
    wide, [extended] = await painted(ada, await ada.command("edit", {**ASKED, "extend": "right"}, files=SHOWN))
    assert "looks at 3 pictures" in text_of(wide)
    assert picture(extended).crop((0, 0, *OLD.size)).convert("RGB").tobytes() == OLD.tobytes()


@pytest.mark.parametrize("model", ["klein-base", "kontext", "qwen", "qwen-edit"])
async def test_the_other_families_paint_and_are_told_what_to_do(model: str, ada: Member) -> None:
    asked = f"/imagine prompt:a red house model:{model} seed:3 lora:{model.partition('-')[0]}:0.5"
    _, [first] = await painted(ada, await ada.command(asked))
    _, [again] = await painted(ada, await ada.command(asked))
    assert first == again
    reply = await ada.command("edit", {**ASKED, "model": model, "seed": "3"}, files={"image": SHOWN["image"]})
    if model == "qwen":
        assert "Say which part is meant" in await refusal(ada, reply)
        return
    _, [edited] = await painted(ada, reply)
    assert picture(edited).size == (96, 48)


async def test_picture_of_a_job_is_changed_as_told(ada: Member) -> None:
    message, _ = await painted(ada, await ada.command("edit", ASKED, files={"image": SHOWN["image"]}))
    again, [edited] = await painted(ada, await ada.command("edit", {**ASKED, "job": number(message)}))
    assert "looks at 1 picture" in text_of(again)
    assert picture(edited).size == (96, 48)


async def test_models_that_are_told_what_to_do_are_offered_as_such_and_others_refuse_in_words(ada: Member) -> None:
    offered = await ada.complete("edit", "model", model="qwen")
    assert [choice["name"] for choice in offered] == [
        "Tiny qwen (qwen)",
        "edits by instruction · Tiny qwen-edit (qwen-edit)",
    ]
    for_starter = {**ASKED, "model": "starter"}
    mask = Image.new("L", OLD.size, 255)
    reply = await ada.command("edit", for_starter, files={**SHOWN, "mask": ("mask.png", png(mask))})
    assert "looks at no pictures beside the words" in text_of(reply.message)
    untold = await ada.command("edit", for_starter, files={"image": SHOWN["image"]})
    assert "Say which part is meant" in await refusal(ada, untold)
    long = {**SHOWN, "reference": ("long.png", png(Image.new("RGB", (900, 60))))}
    assert "too long to be looked at" in await refusal(ada, await ada.command("edit", ASKED, files=long))
    torn = {**SHOWN, "reference2": ("torn.png", png(HAT)[:200])}
    assert await refusal(ada, await ada.command("edit", ASKED, files=torn))
