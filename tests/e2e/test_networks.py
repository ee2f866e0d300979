"""/upscale with networks that an operator brings: any architecture from its file alone, and faces made anew."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from skimage import data as photographs

from inference.silence import silenced
from sandbox.client.member import Json, Member, Reply, text_of
from tests.e2e.asking import finished, is_private, picture, png, refusal
from tests.e2e.conftest import ROOT, Studio, running
from tests.inference import tiny

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABLES = """
[upscalers.span]
title = "Tiny SPAN"
path = "weights/span.safetensors"

[upscalers.wrong]
title = "Faces, in the wrong table"
path = "weights/faces.pth"

[restorers.faces]
title = "Tiny RestoreFormer"
path = "weights/faces.pth"
"""


def write_span(path: Path) -> None:
    """A SPAN network of spandrel's own class with random weights."""
    import safetensors.torch
    from spandrel.architectures.SPAN import SPAN

    with silenced():
        network = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)
    safetensors.torch.save_file(network.state_dict(), path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """As everywhere, with three tables more in models.toml, none of which describes a network."""
    folder: Path = tmp_path_factory.mktemp("networks")
    (folder / "weights").mkdir()
    write_span(folder / "weights" / "span.safetensors")
    tiny.write_restorer(folder / "weights" / "faces.pth")
    catalogue = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    (folder / "models.toml").write_text(catalogue + TABLES)
    async with running(folder / "data", EASEL_MODELS=str(folder / "models.toml")) as opened:
        yield opened


def portrait() -> Image.Image:
    return Image.fromarray(photographs.astronaut()).crop((120, 0, 376, 256)).resize((128, 128))


async def enlarged(ada: Member, options: Json, image: Image.Image) -> tuple[Json, Image.Image]:
    reply: Reply = await ada.command("upscale", options, files={"image": ("a.png", png(image))})
    message = await finished(ada, reply)
    [data] = await ada.pictures(message)
    return message, picture(data)


async def test_a_network_is_known_by_its_file_and_offered_with_its_own_factor(ada: Member) -> None:
    offered = await ada.complete("upscale", "upscaler", upscaler="tiny")
    assert [choice["value"] for choice in offered] == ["span"], "and not what enlarges nothing"
    message, large = await enlarged(ada, {"upscaler": "span"}, portrait())
    assert "128x128 → 256x256" in text_of(message)
    assert large.size == (256, 256)
    recipe = json.loads(large.info["easel"])
    assert recipe["model"]["files"] == [{"path": "weights/span.safetensors", "url": None}]
    assert recipe["model"]["scale"] == 2
    again = (await enlarged(ada, {"upscaler": "span"}, portrait()))[1]
    assert again.tobytes() == large.tobytes()


async def test_faces_are_made_anew_where_somebody_asks_and_nothing_else_changes(ada: Member) -> None:
    offered = await ada.complete("upscale", "faces", faces="")
    assert [choice["value"] for choice in offered] == ["faces"]
    options = {"upscaler": "starter-x4", "factor": 2}
    _, plain = await enlarged(ada, options, portrait())
    message, restored = await enlarged(ada, {**options, "faces": "faces"}, portrait())
    assert "faces by faces" in text_of(message)
    one, other = (np.asarray(image.convert("RGB")).astype(int) for image in (plain, restored))
    changed = np.abs(one - other).max(axis=2) > 0
    assert 0.05 < changed.mean() < 0.6
    assert not changed[:, :15].any()
    assert not changed[195:].any()
    recipe = json.loads(restored.info["easel"])
    assert (recipe["restorer"]["name"], recipe["restorer"]["faces"]) == ("faces", 1)


async def test_a_picture_without_a_face_says_so_and_a_name_that_nobody_has_is_refused(ada: Member) -> None:
    cat = Image.fromarray(photographs.chelsea()).resize((90, 60))
    message, _ = await enlarged(ada, {"upscaler": "span", "faces": "faces"}, cat)
    assert "No face was found" in text_of(message)
    reply = await ada.command("upscale", {"faces": "gfpgan"}, files={"image": ("a.png", png(cat))})
    assert is_private(reply)
    assert "Nothing called 'gfpgan' restores faces here: choose one of faces." in await refusal(ada, reply)


async def test_everything_said_to_discord_fits_its_own_description(studio: Studio) -> None:
    assert await studio.problems() == []
