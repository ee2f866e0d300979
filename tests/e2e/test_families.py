"""The newer families, through the whole of Easel on tiny models: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import torch
from PIL import Image, ImageDraw

from sandbox.client.member import Member, text_of
from tests.e2e.asking import painted, picture, png, said
from tests.e2e.conftest import Studio, running
from tests.inference import tiny, tiny_families

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD = tiny.picture(64, 32, seed=3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """A bot whose models are tiny ones of these families, and no others."""
    folder: Path = tmp_path_factory.mktemp("families")
    torch.manual_seed(0)
    flux = tiny.MAKERS["flux-dev"]()
    made = {"flux-dev": flux, **tiny_families.made_of({"flux-dev": flux})}
    for name, pipeline in made.items():
        tiny_families.save(pipeline, folder / name)
    tiny_families.write_controls(folder)
    table = tiny.CATALOG[tiny.CATALOG.index("[models.flux-dev]") : tiny.CATALOG.index("[models.absent]")]
    union = tiny_families.ADD_ONS[tiny_families.ADD_ONS.index("[controls.union-flux]") :].partition("\n\n")[0]
    tables = [*(tiny_families.MODELS[name] for name in made if name in tiny_families.MODELS), table, union]
    (folder / "models.toml").write_text("\n".join(['default = "z-image-turbo"', *tables]))
    async with running(folder / "data", EASEL_MODELS=str(folder / "models.toml")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("model", "sampler"),
    [
        ("z-image-turbo", "FlowMatch Euler"),
        ("z-image", "FlowMatch Euler"),
        ("chroma-hd", "FlowMatch Euler"),
        ("sana-1600m", "DPM++ 2M"),
    ],
)
async def test_the_same_words_and_seed_paint_the_same_again(ada: Member, model: str, sampler: str) -> None:
    asked = {"prompt": "一座红色的房子, a red house", "model": model, "seed": "7", "count": 2}
    message, first = await painted(ada, await ada.command("imagine", asked))
    assert model in text_of(message)
    _, again = await painted(ada, await ada.command("imagine", asked))
    assert [picture(data).tobytes() for data in first] == [picture(data).tobytes() for data in again]
    assert picture(first[0]).tobytes() != picture(first[1]).tobytes()
    assert f"Sampler: {sampler}" in picture(first[0]).info["parameters"]


async def test_fill_fills_what_is_marked_and_leaves_every_other_pixel(ada: Member) -> None:
    mask = Image.new("L", OLD.size)
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 31), fill=255)
    files = {"image": ("old.png", png(OLD)), "mask": ("mask.png", png(mask))}
    asked = {"prompt": "a red house", "model": "flux-fill-dev", "seed": "5"}
    shown, _ = await said(ada, await ada.command("edit", asked, files=files))
    _, [edited] = await painted(ada, await ada.click(shown, "Go"))
    new, old = (np.asarray(each.convert("RGB")) for each in (picture(edited), OLD))
    assert np.array_equal(new[:, 32:], old[:, 32:])
    assert (new[:, :28] != old[:, :28]).any(2).mean() > 0.9
    _, [wider] = await painted(
        ada, await ada.command("edit", {**asked, "extend": "left"}, files={"image": files["image"]})
    )
    assert picture(wider).width > OLD.width


async def test_what_a_model_cannot_do_is_said_and_not_painted(ada: Member) -> None:
    for options, sentence in (
        ({"model": "flux-fill-dev"}, "Tiny FLUX Fill fills marked parts of pictures and paints nothing else"),
        ({"model": "z-image-turbo", "negative": "blue"}, "Tiny Z-Image Turbo takes no negative prompt"),
        ({"model": "z-image-turbo", "guidance": 4}, "Tiny Z-Image Turbo takes no guidance"),
    ):
        reply = await ada.command("imagine", {"prompt": "a red house", **options})
        assert sentence in text_of(reply.message)
    offered = await ada.complete("imagine", "model", model="fill")
    assert not offered
    assert [choice["value"] for choice in await ada.complete("edit", "model", model="fill")] == ["flux-fill-dev"]


async def test_a_controlnet_of_several_kinds_follows_a_picture(ada: Member) -> None:
    asked = {"prompt": "a red house", "model": "flux-dev", "seed": "7"}
    _, [free] = await painted(ada, await ada.command("imagine", asked))
    files = {"control_image": ("old.png", png(OLD))}
    message, [followed] = await painted(ada, await ada.command("imagine", asked, files=files))
    assert "follows union-flux 1" in text_of(message)
    assert picture(followed).tobytes() != picture(free).tobytes()
