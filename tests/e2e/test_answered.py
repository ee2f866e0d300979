"""What was painted before comes from the disk: real bot, real engine."""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import ImageOps
from safetensors.torch import load_file, save_file

from sandbox.client.member import Json, Member, text_of
from starter.render import render
from tests.e2e.asking import BOATS, QUICK, finished, gone, number, painted, png
from tests.e2e.conftest import ROOT, Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = f"/imagine prompt:a red house {QUICK} seed:7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a copy of the starter's weights."""
    made = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "starter" / "models" / "picture", made / "picture")
    text = (ROOT / "models.toml").read_text().replace('"starter/models/picture"', f'"{made}/picture"')
    (made / "models.toml").write_text(text.replace('"starter/models', f'"{ROOT}/starter/models'))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(folder: Path) -> AsyncIterator[Studio]:
    """A bot whose weights can be changed."""
    async with running(folder / "data", EASEL_MODELS=str(folder / "models.toml")) as opened:
        yield opened


def from_disk(message: Json) -> bool:
    return "made the same before" in text_of(message) or "The same was made before" in text_of(message)


async def test_the_same_recipe_is_answered_from_disk_until_something_is_another(
    studio: Studio, ada: Member, linus: Member, folder: Path
) -> None:
    first, pictures = await painted(ada, await ada.command(ASKED))
    assert not from_disk(first)
    second, same = await painted(linus, await linus.command(ASKED))
    assert same == pictures
    assert f"Job #{number(first)} made the same before: this is it." in text_of(second)
    assert "0.0 s" in text_of(second)

    # It is a job of its own, with all its buttons, and lives on where the first is deleted.
    await ada.click(first, "Delete", until="acknowledged")
    await gone(ada, first)
    third, same = await painted(ada, await ada.command(ASKED))
    assert same == pictures
    assert f"Job #{number(second)} made the same before" in text_of(third)
    enlarged = await finished(ada, await ada.click(third, "U1"))
    assert not from_disk(enlarged)
    assert from_disk(await finished(ada, await ada.click(third, "U1")))

    # Another seed is another picture, and so is one that was drawn.
    other, others = await painted(ada, await ada.command(ASKED.replace("seed:7", "seed:8")))
    assert not from_disk(other)
    assert others != pictures
    drawn, _ = await painted(ada, await ada.click(third, "Re-roll"))
    assert not from_disk(drawn)

    # Elsewhere it is the same picture, and nobody hears of whose it was.
    async with Member(studio.sandbox.url, "Grace", "general") as grace:
        there, same = await painted(grace, await grace.command(ASKED))
    assert same == pictures
    assert from_disk(there)
    assert f"#{number(second)}" not in text_of(there)
    assert f"#{number(third)}" not in text_of(there)

    # A killed bot knows it still.
    await studio.stop(signal.SIGKILL)
    await studio.start()
    after, same = await painted(ada, await ada.command(ASKED))
    assert from_disk(after)
    assert same == pictures

    # Other weights paint anew.
    changed = folder / "picture" / "unet" / "diffusion_pytorch_model.safetensors"
    before = hashlib.sha256(changed.read_bytes()).hexdigest()
    weights = load_file(changed)
    save_file({name: tensor * 0.99 for name, tensor in weights.items()}, changed, {"format": "pt"})
    await studio.stop()
    await studio.start()
    anew, others = await painted(ada, await ada.command(ASKED))
    assert not from_disk(anew)
    assert others != pictures
    again, same = await painted(ada, await ada.command(ASKED))
    assert from_disk(again)
    assert same == others
    # What goes on from a picture of before says that it cannot be had again; what begins anew has nothing to say.
    varied = await finished(ada, await ada.click(third, "V1"))
    assert f"painted with other weights of this model ({before[:10]})" in text_of(varied)
    assert "other weights" not in text_of(await finished(ada, await ada.click(third, "Re-roll")))
    assert "other weights" not in text_of(await finished(ada, await ada.click(again, "V1")))


async def test_an_upload_counts_by_what_is_in_it(studio: Studio, ada: Member) -> None:
    drawing = render(BOATS, 64)
    uploads = [png(drawing), png(ImageOps.mirror(drawing)), png(drawing)]
    shown = []
    for data in uploads:
        options = {"prompt": "a blue boat", "steps": 4, "seed": "3"}
        reply = await ada.command("/imagine", options, files={"image": ("boat.png", data)})
        shown.append(await painted(ada, reply))
    assert [from_disk(message) for message, _ in shown] == [False, False, True]
    assert shown[0][1] == shown[2][1]
