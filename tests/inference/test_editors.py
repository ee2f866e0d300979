"""Models whose denoiser reads a mask and what is around it: they edit, and paint nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from msgspec.structs import replace
from PIL import Image

from inference import engine
from inference.catalog import reading, weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import WeightsError
from inference.models.store import Store
from inference.painting import inpainting, noise, samplers, setups, wording
from inference.painting.passes import Pass, Slot
from inference.protocol import Control, Imagine, Input, Mask, because, limits
from tests.inference.conftest import ask_for, paint_from, with_model
from tests.inference.folders import hashes
from tests.inference.test_checkpoints import entry
from tests.inference.test_edit import BOX, FILES, OLD, OLD_INPUT, mask_of, pixels


@pytest.fixture
def known(files: Path, tmp_path: Path) -> Catalog:
    """A model that edits as a folder and as one file, and a default one that paints."""
    toml = tmp_path / "models.toml"
    config = f'config = "{files / "inpainting-config"}"'
    toml.write_text(
        'default = "painter"\n'
        + entry("painter", "sd1", str(files / "sd1"))
        + entry("folder", "inpainting", str(files / "inpainting"))
        + entry("file", "inpainting", str(files / "inpainting.safetensors"), config)
        + entry("xl", "inpainting-xl", str(files / "inpainting-xl.safetensors"), config.replace("ing-", "ing-xl-"))
    )
    return reading.load(toml)


def edit(**changes: Any) -> Imagine:
    wanted = ask_for(model="folder", steps=3, sampler="DDIM", image=OLD_INPUT, mask=mask_of(BOX))
    return replace(wanted, **changes)


def test_both_edit_what_is_masked_and_no_other_bit_and_do_so_again(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    made = [
        paint_from(FILES, store, edit(model=model, strength=strength))[1]
        for strength in (1.0, 0.7)
        for model in ("folder", "folder", "file")
    ]
    for first in (made[0], made[3]):
        before, after = np.asarray(OLD), pixels(first)
        inside = np.zeros(before.shape[:2], bool)
        inside[BOX[1] : BOX[3] + 1, BOX[0] : BOX[2] + 1] = True
        assert np.array_equal(after[~inside], before[~inside])
        assert (after[inside] != before[inside]).any(1).mean() > 0.9
    assert hashes(made[0].pictures) == hashes(made[1].pictures)
    assert np.array_equal(pixels(made[0]), pixels(made[2]))
    assert not np.array_equal(pixels(made[0]), pixels(made[3]))


def test_stable_diffusion_xl_edits_too_with_its_guidance_rescaled(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    made = [pixels(paint_from(FILES, store, edit(model="xl"))[1]) for _ in range(2)]
    assert np.array_equal(*made)
    inside = np.zeros(made[0].shape[:2], bool)
    inside[BOX[1] : BOX[3] + 1, BOX[0] : BOX[2] + 1] = True
    assert np.array_equal(made[0][~inside], np.asarray(OLD)[~inside])
    assert (made[0][inside] != np.asarray(OLD)[inside]).any(1).mean() > 0.9
    rescaling = with_model(known, "xl", guidance_rescale=0.7)
    other = paint_from(FILES, Store(catalog=rescaling, device=cpu), edit(model="xl"))[1]
    assert not np.array_equal(pixels(other), made[0])
    assert not other.answer.notes
    without = with_model(known, "folder", guidance_rescale=0.7)
    told = paint_from(FILES, Store(catalog=without, device=cpu), edit())[1]
    assert told.answer.notes == (because("rescale_left_out", model="folder"),)


def test_it_sees_what_is_around_the_mask_and_where_the_mask_is(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(catalog=known, device=cpu)
    plain = pixels(paint_from(FILES, store, edit())[1])
    told = inpainting.told
    for name in ("mask_image", "masked_image_latents"):

        def blind(*arguments: Any, name: str = name) -> dict[str, Any]:
            seen = told(*arguments)
            return {**seen, name: torch.zeros_like(seen[name])}

        monkeypatch.setattr(inpainting, "told", blind)
        assert not np.array_equal(pixels(paint_from(FILES, store, edit())[1]), plain), name


def test_what_is_masked_is_not_seen(known: Catalog, cpu: Device) -> None:
    model = Store(catalog=known, device=cpu).use("folder", lambda: None)
    mask = Image.new("L", (32, 32))
    mask.paste(255, (8, 8, 24, 24))
    seen = []
    for colour in ("red", "blue"):
        old = OLD.resize((32, 32))
        old.paste(colour, (8, 8, 24, 24))
        # As large as the model paints, so that nothing runs over the edge of the mask.
        area = inpainting.InpaintArea(old, mask, (0, 0, 32, 32))
        seen.append(inpainting.told([area], model, 32, 32)["masked_image_latents"])
    assert torch.equal(*seen)


def test_it_paints_what_the_bare_pipeline_paints(known: Catalog, cpu: Device, files: Path) -> None:
    """Of the whole of a picture, at full strength: then nothing is put back, and diffusers starts from noise alone."""
    store = Store(catalog=known, device=cpu)
    model = store.use("folder", lambda: None)
    assert isinstance(model.pipeline, StableDiffusionInpaintPipeline)
    request = edit(mask=mask_of((0, 0, *OLD.size)))
    area = inpainting.area(OLD, Image.new("L", OLD.size, 255), 1.0, 32)
    drawn, generator = noise.draw(request, 0, (1, 4, 4, 4))
    bare = StableDiffusionInpaintPipeline.from_pretrained(files / "inpainting", safety_checker=None)
    bare.set_progress_bar_config(disable=True)
    bare.scheduler = samplers.build(model.family.samplers["DDIM"], model.scheduler_config, 3)
    seen = area.seen(32, 32)
    painted = bare(
        request.prompt,
        image=seen,
        mask_image=Image.new("L", (32, 32), 255),
        masked_image_latents=inpainting.told([area], model, 32, 32)["masked_image_latents"],
        height=32,
        width=32,
        strength=1.0,
        num_inference_steps=3,
        guidance_scale=4.0,
        latents=drawn,
        generator=generator,
        output_type="latent",
    ).images
    setup = setups.load(request, store, lambda: None, lambda: None)
    taken = Pass(request, setup, lambda: None)
    taken.add([request], FILES)
    taken._starts = {request.job: None}
    latents = taken.denoise([Slot(request, 0, wording.draw(request, 0, store.catalog))], lambda *_: None)
    assert torch.equal(latents, painted)


def test_neighbours_keep_to_their_own_pictures_and_masks(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    store = Store(catalog=known, device=cpu)
    alone = paint_from(FILES, store, edit())[1]
    beside = paint_from(FILES, store, edit(job=2, mask=mask_of((60, 30, 80, 50)), seed=9), edit())
    assert hashes(beside[1].pictures) == hashes(alone.pictures)
    assert np.array_equal(pixels(beside[2])[:, :50], np.asarray(OLD)[:, :50])


def test_the_one_rule_says_why_it_paints_nothing_else(known: Catalog, cpu: Device) -> None:
    ready = engine.readiness(known, weights.inventory(known), cpu)
    assert {model.name: model.fills for model in ready.models} == {
        "painter": False,
        "folder": True,
        "file": True,
        "xl": True,
    }
    why = because("needs_mask", model="folder")
    assert limits.problem(ask_for(model="folder", sampler="DDIM"), ready) == why
    assert limits.problem(edit(mask=None, strength=0.5), ready) == why
    assert limits.problem(edit(), ready) is None
    assert limits.problem(edit(model="painter", mask=None, strength=0.5), ready) is None
    control = Control("canny", Input("0" * 64, 8, 8))
    assert limits.problem(edit(control=control), ready) == because("control_of_others", typed="canny", model="folder")


def test_what_is_looked_for_before_it_is_edited_needs_no_mask_yet(
    known: Catalog, models_toml: Path, cpu: Device
) -> None:
    ready = engine.readiness(known, weights.inventory(known), cpu)
    eyes = engine.readiness(all_tools := reading.load(models_toml), weights.inventory(all_tools), cpu)
    from msgspec.structs import replace as changed

    wanted = Mask(job=1, model="florence", text="the cat", edit=edit(mask=None), image=OLD_INPUT)
    assert limits.problem(wanted, changed(ready, describers=eyes.describers)) is None


def test_it_is_no_default_model(known: Catalog, files: Path, tmp_path: Path) -> None:
    toml = tmp_path / "models.toml"
    toml.write_text(toml.read_text().replace('default = "painter"', 'default = "file"'))
    with pytest.raises(WeightsError, match="the default model file paints nothing but masked parts of pictures"):
        weights.require(reading.load(toml))


@pytest.mark.parametrize("make", ["file", "folder"])
def test_a_denoiser_that_reads_anything_else_is_refused(
    make: str, files: Path, tmp_path: Path, write_odd: Callable[[Path], Path]
) -> None:
    place = write_odd(tmp_path) if make == "file" else odd_folder(files, tmp_path)
    toml = tmp_path / "models.toml"
    toml.write_text('default = "odd"\n' + entry("odd", "sd1", str(place), f'config = "{files / "sd1-config"}"'))
    with pytest.raises(WeightsError, match="its denoiser reads 8 channels: one that reads 4 can paint"):
        weights.locate(reading.load(toml), "model", "odd")


@pytest.fixture
def write_odd(files: Path) -> Callable[[Path], Path]:
    """A file as InstructPix2Pix has them."""
    from safetensors.torch import load_file

    from tests.inference import tiny_files

    def write(folder: Path) -> Path:
        tensors = load_file(files / "sd1.safetensors")
        name = "model.diffusion_model.input_blocks.0.0.weight"
        return tiny_files.write(folder / "odd.safetensors", {**tensors, name: torch.cat([tensors[name]] * 2, 1)})

    return write


def odd_folder(files: Path, folder: Path) -> Path:
    import json
    import shutil

    shutil.copytree(files / "sd1", folder / "odd")
    config = folder / "odd" / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "in_channels": 8}))
    return folder / "odd"
