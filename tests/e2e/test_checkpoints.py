"""What an operator has on disk, added by one command each, and what members do with it: real bot, real engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from sandbox.client.member import Member, text_of
from starter.render import render
from tests.e2e.asking import BOATS, forgotten, has_button, painted, picture, png, said, unsigned
from tests.e2e.conftest import ROOT, Studio, running
from tests.inference import test_ggufs, tiny_files
from tests.inference.peer import environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD = render(BOATS, 256)


def add(toml: Path, place: Path, name: str, *further: str) -> str:
    command = [sys.executable, "-m", "inference", "models", "add", str(place), "--name", name, *further]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(toml), capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """A bot whose models were all added from files, the two that the operator then made quick to paint with."""
    folder = tmp_path_factory.mktemp("models")
    tiny_files.build(folder, "sd1", "inpainting", "zimage")
    toml = folder / "models.toml"
    text = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    # The checker takes what random weights paint for anything.
    toml.write_text(text.replace('checker = "nsfw"\n', ""))
    told = add(toml, folder / "sd1.safetensors", "dreams", "--config", str(folder / "sd1-config"))
    assert "is a Stable Diffusion 1 model in float32: it is [models.dreams]" in told
    add(toml, folder / "inpainting.safetensors", "mender", "--config", str(folder / "inpainting-config"))
    add(toml, folder / "zimage", "whole")
    blocks = test_ggufs.write(folder / "z_image_turbo-Q8_0.gguf", test_ggufs.denoiser(folder, "zimage"))
    told = add(toml, blocks, "blocks", "--memory", "8GB")
    assert "is a Z-Image model in float32 and Q8_0: it is [models.blocks]" in told
    assert "On a card with 8.0 GB its full weights (0.0 GB) stay whole." in told
    # Small enough to be painted here.
    toml.write_text(toml.read_text().replace("min_size = 512", "min_size = 64"))
    toml.write_text(toml.read_text().replace('steps = 25\nguidance = 7\nsampler = "DPM++ 2M Karras"\nbatch = 4', QUICK))
    async with running(tmp_path_factory.mktemp("data"), EASEL_MODELS=str(toml)) as opened:
        yield opened


QUICK = 'steps = 2\nguidance = 7\nsampler = "DDIM"'


async def test_a_checkpoint_paints(ada: Member) -> None:
    reply = await ada.command("/imagine prompt:a red house model:dreams width:256 height:256 seed:4")
    message, [first] = await painted(ada, reply)
    assert "256x256 · 2 steps · DDIM · guidance 7 · dreams" in text_of(message)
    await forgotten(ada, message)
    again = await ada.command("/imagine prompt:a red house model:dreams width:256 height:256 seed:4")
    assert await unsigned(ada, (await painted(ada, again))[0]) == [first]


async def test_a_gguf_file_paints_and_says_what_it_is(ada: Member) -> None:
    asked = "prompt:a red house width:64 height:64 steps:2 seed:4"
    message, [small] = await painted(ada, await ada.command(f"/imagine {asked} model:blocks"))
    assert "64x64 · 2 steps" in text_of(message)
    assert " · blocks" in text_of(message)
    _, [whole] = await painted(ada, await ada.command(f"/imagine {asked} model:whole guidance:1"))
    one, other = (np.asarray(picture(data).convert("RGB")).astype(int) for data in (small, whole))
    assert 0 < np.abs(one - other).mean() < 12
    _, [again] = await painted(ada, await ada.command(f"/imagine {asked} model:blocks"))
    assert again == small


async def test_a_model_that_only_edits_is_offered_for_that_alone_and_keeps_what_is_not_masked(ada: Member) -> None:
    mask = Image.new("L", OLD.size)
    mask.paste(255, (40, 40, 120, 120))
    uploads = {"image": ("boats.png", png(OLD)), "mask": ("mask.png", png(mask))}
    reply = await ada.command("edit", {"prompt": "a red mushroom", "model": "mender", "seed": "5"}, files=uploads)
    shown, _ = await said(ada, reply)
    _, [edited] = await painted(ada, await ada.click(shown, "Go"))
    changed = (np.asarray(picture(edited).convert("RGB")) != np.asarray(OLD)).any(2)
    inside = np.zeros_like(changed)
    inside[40:120, 40:120] = True
    assert not changed[~inside].any()
    assert changed[inside].mean() > 0.9
    assert "mender" in [choice["value"] for choice in await ada.complete("edit", "model", model="mend")]
    assert await ada.complete("imagine", "model", model="mend") == []
    refused = await ada.command("/imagine prompt:a red house model:mender")
    assert "fills marked parts of pictures and paints nothing else: use it in /edit" in text_of(refused.message)
    assert not has_button(refused.message, "V1")
