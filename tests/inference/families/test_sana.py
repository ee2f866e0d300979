"""SANA: what its pipeline is told, word for word and number for number, and what `models add` makes of its folders."""

from __future__ import annotations

import io
import json
import shutil
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference import __main__ as program
from inference.catalog import headers, reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import CatalogError
from inference.families import FAMILIES, sana
from inference.models import placement
from inference.models.policy import Policy
from inference.models.store import Store
from inference.protocol import Control, Finished, Imagine, Ready, because, limits
from tests.inference import tiny_families
from tests.inference.conftest import ask_for, paint_from, uploaded
from tests.inference.folders import bytes_of, hashes
from tests.inference.tiny import picture

NAME = "sana-1600m"
paint = partial(paint_from, {})


def ask(**changes: Any) -> Imagine:
    asked = {"model": NAME, "sampler": "DPM++ 2M", "steps": 3, "guidance": 4.5, "width": 64, "height": 32}
    return ask_for(**{**asked, **changes})


def pixels(finished: Finished) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0]))))


@pytest.mark.parametrize("guidance", [1.0, 4.5])
def test_the_engine_paints_what_the_bare_pipeline_paints(guidance: float, store: Store) -> None:
    request = ask(negative="blue" if guidance > 1 else "", guidance=guidance)
    ours = pixels(paint(store, request)[1])
    # With its makers' own instruction, of which it is told nothing here.
    bare = store.use(NAME, lambda: None).pipeline(
        prompt=request.prompt,
        negative_prompt="blue",
        width=64,
        height=32,
        num_inference_steps=3,
        guidance_scale=guidance,
        use_resolution_binning=False,
        generator=torch.Generator().manual_seed(request.seed),
    )
    assert np.array_equal(ours, np.asarray(bare.images[0]))


def test_words_are_read_below_the_instruction_and_negative_ones_without(store: Store) -> None:
    model = store.use(NAME, lambda: None)
    encoded = model.prompts.encode("a red house", "a red house", True)
    words, negative = (encoded[f"{side}prompt_embeds"] for side in ("", "negative_"))
    assert words.shape == negative.shape == (1, 300, 32)
    read, unread = (int(encoded[f"{side}prompt_attention_mask"].sum()) for side in ("", "negative_"))
    assert read > unread > 1
    bare, *_ = model.pipeline.encode_prompt("a red house", False, complex_human_instruction=None)
    assert torch.equal(bare, negative)
    assert not torch.equal(bare, words)


def test_it_looks_away_from_words_and_weighs_none(store: Store) -> None:
    plain = paint(store, ask())[1]
    assert not np.array_equal(pixels(paint(store, ask(negative="a blue boat"))[1]), pixels(plain))
    weighed = paint(store, ask(prompt="a (red:1.3) house"))[1]
    assert np.array_equal(pixels(weighed), pixels(plain))
    assert weighed.answer.notes[0].name == "weights_left_out"


def test_words_that_change_on_the_way_are_told_and_not_painted(store: Store) -> None:
    painted = paint(store, ask(prompt="a [red:blue:0.5] house"))[1]
    assert [note.name for note in painted.answer.notes] == ["words_not_changed"]


def test_every_sampler_paints_in_its_own_way(store: Store) -> None:
    ways = {name: hashes(paint(store, ask(sampler=name))[1].pictures)[0] for name in FAMILIES["sana"].samplers}
    assert len({*ways.values()}) == len(ways) == 2


def test_latents_stay_as_exact_as_the_pipeline_keeps_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    model = store.use(NAME, lambda: None)
    seen = []
    prepare = model.pipeline.prepare_latents

    def seeing(*args: Any) -> Any:
        seen.append(args[-1].dtype)
        return prepare(*args)

    monkeypatch.setattr(model.pipeline, "prepare_latents", seeing)
    # As on a card, where the weights are kept in half as much.
    object.__setattr__(model, "dtype", torch.bfloat16)
    try:
        paint(store, ask())
    finally:
        object.__setattr__(model, "dtype", torch.float32)
    assert seen == [torch.float32]


def test_its_scheduler_keeps_the_published_shift_with_every_sampler(store: Store) -> None:
    model = store.use(NAME, lambda: None)
    for name in FAMILIES["sana"].samplers:
        paint(store, ask(sampler=name, steps=4))
        config = model.pipeline.scheduler.config
        assert (config.flow_shift, config.use_flow_sigmas, config.prediction_type) == (3.0, True, "flow_prediction")


def test_tiles_overlap_by_an_eighth_and_by_a_latent_at_least(store: Store) -> None:
    model = store.use(NAME, lambda: None)
    vae = model.pipeline.vae
    try:
        for side, stride in ((512, 448), (128, 96)):
            FAMILIES["sana"].latents.tile(vae, side, 32)
            assert (vae.tile_sample_min_height, vae.tile_sample_stride_width) == (side, stride)
    finally:
        placement.tile(model.pipeline, model.family, Policy())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("size_multiple = 16", "size_multiple: the sana family needs 32 or a multiple of it"),
        ('sampler = "Euler"', "sampler: 'Euler' is not one of DPM++ 2M, UniPC"),
        ("compile = true", "compile: diffusers names no repeated blocks in the sana family"),
        ('attention = "flash"', "attention: the sana family takes no other kernels"),
    ],
)
def test_what_it_cannot_is_told_at_the_start(line: str, message: str, tmp_path: Path) -> None:
    field = line.partition(" =")[0]
    table = [each for each in tiny_families.MODELS[NAME].splitlines() if each.partition(" =")[0] != field]
    path = tmp_path / "models.toml"
    path.write_text("\n".join([f'default = "{NAME}"', *table, line]))
    with pytest.raises(CatalogError) as refused:
        reading.load(path)
    assert str(refused.value).startswith(f"{path}: models.{NAME}: {message}")


def test_a_controlnet_is_refused(ready: Ready) -> None:
    given, _ = uploaded(picture())
    problem = limits.problem(ask(control=Control("nobody", given)), ready)
    assert problem == because("no_controls", model="Tiny SANA")


@pytest.fixture
def toml(tmp_path: Path, models_toml: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue that has another model alone, which lies elsewhere."""
    (tmp_path / "sd35-large").symlink_to(models_toml.parent / "sd35-large")
    path = tmp_path / "models.toml"
    path.write_text(f'default = "sd35-large"\n{tiny_families.MODELS["sd35-large"]}')
    monkeypatch.setenv("EASEL_MODELS", str(path))
    return path


def tables(toml: Path, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(toml.read_text())[kind]
    return found


def test_a_folder_of_it_is_added_as_what_it_is_and_paints(
    toml: Path, models_toml: Path, cpu: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(models_toml.parent / NAME, toml.parent / "Sana_1600M_1024px_BF16_diffusers")
    shutil.copytree(models_toml.parent / NAME, toml.parent / "Sana_600M_512px_diffusers")
    for folder, name in (("Sana_1600M_1024px_BF16_diffusers", "large"), ("Sana_600M_512px_diffusers", "small")):
        assert program.main(["models", "add", str(toml.parent / folder), "--name", name]) == 0
        assert "is a SANA model in a diffusers folder" in capsys.readouterr().out
    (release,) = sana.FAMILY.releases
    large, small = (tables(toml, "models")[name] for name in ("large", "small"))
    assert {field: large[field] for field in release.defaults} == release.defaults
    assert large["family"] == small["family"] == "sana"
    assert (small["width"], small["height"], small["sampler"]) == (512, 512, "DPM++ 2M")
    known = reading.load(toml)
    painted = paint(Store(catalog=known, device=cpu), ask(model="small"))[1]
    assert pixels(painted).shape == (32, 64, 3)


def test_a_folder_that_lacks_a_part_is_not_added(
    toml: Path, models_toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toml.parent / "broken"
    shutil.copytree(models_toml.parent / NAME, folder)
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    before = toml.read_text()
    assert program.main(["models", "add", str(folder)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(f"{folder} is not whole: it has no transformer/diffusion_pytorch_model.safetensors")
    assert toml.read_text() == before


def test_a_lora_of_it_goes_with_it_alone_and_one_of_another_width_with_nobody(
    toml: Path, models_toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(models_toml.parent / NAME, toml.parent / "sana")
    assert program.main(["models", "add", str(toml.parent / "sana")]) == 0
    shutil.copy(models_toml.parent / "sana.safetensors", toml.parent / "ink.safetensors")
    assert program.main(["models", "add", str(toml.parent / "ink.safetensors")]) == 0
    assert tables(toml, "loras")["ink"]["models"] == ["sana"]
    config = json.loads((toml.parent / "sana" / "transformer" / "config.json").read_text())
    shapes = headers.tensors(toml.parent / "ink.safetensors")
    fits = sana.FAMILY.fits_lora
    assert fits is not None
    assert fits(shapes, config)
    assert not fits(shapes, {**config, "num_attention_heads": 70})
    assert not fits(headers.tensors(models_toml.parent / "zimage.safetensors"), config)


def test_no_file_alone_is_taken_for_it(known: Catalog) -> None:
    for weights in (known.folder / NAME / "transformer").glob("*.safetensors"):
        assert not any(release.told(headers.tensors(weights)) for release in sana.FAMILY.releases)
