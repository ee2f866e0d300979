"""Folders of weights as people have them: loaded where that is safe, else it is said what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inference import __main__ as program
from inference.catalog import reading, weights
from inference.device import Device
from inference.errors import WeightsError
from tests.inference.test_checkpoints import entry, paint, pixels


def variant_alone(folder: Path) -> None:
    for file in [*folder.rglob("*.safetensors")]:
        file.rename(file.with_suffix(".fp16.safetensors"))


def variant_of_one_part_in_pieces(folder: Path) -> None:
    part = folder / "unet"
    whole = part / "diffusion_pytorch_model.safetensors"
    piece = part / "diffusion_pytorch_model.fp16-00001-of-00001.safetensors"
    whole.rename(piece)
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights.headers.tensors(piece), piece.name)}
    (part / "diffusion_pytorch_model.safetensors.index.fp16.json").write_text(json.dumps(index))


def one_folder_too_deep(folder: Path) -> None:
    folder.rename(folder.with_name("deep"))
    folder.mkdir()
    folder.with_name("deep").rename(folder / "model")


def nothing_that_painting_does_without(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    "change",
    [variant_alone, variant_of_one_part_in_pieces, one_folder_too_deep, nothing_that_painting_does_without],
)
def test_it_paints_what_the_folder_paints_that_was_published(
    change: Callable[[Path], None], files: Path, tmp_path: Path, cpu: Device
) -> None:
    shutil.copytree(files / "sd1", tmp_path / "own")
    change(tmp_path / "own")
    toml = tmp_path / "models.toml"
    toml.write_text('default = "own"\n' + entry("own", "sd1", "own") + entry("whole", "sd1", str(files / "sd1")))
    known = reading.load(toml)
    own, whole = (paint(known, cpu, name) for name in ("own", "whole"))
    assert np.array_equal(pixels(own), pixels(whole))
    assert own.recipe["model"]["components"] == whole.recipe["model"]["components"] or change is one_folder_too_deep
    assert own.recipe["model"]["variant"] == ("fp16" if "variant" in change.__name__ else None)


def test_a_folder_with_one_checkpoint_in_it_is_that_checkpoint(files: Path, tmp_path: Path, cpu: Device) -> None:
    (tmp_path / "own").mkdir()
    shutil.copy(files / "sd1.safetensors", tmp_path / "own" / "dreams.safetensors")
    (tmp_path / "own" / "README.md").write_text("What dreams!")
    toml = tmp_path / "models.toml"
    toml.write_text('default = "own"\n' + entry("own", "sd1", "own", f'config = "{files / "sd1-config"}"'))
    known = reading.load(toml)
    assert weights.locate(known, "model", "own") == tmp_path / "own" / "dreams.safetensors"
    shutil.copy(files / "sd1.safetensors", tmp_path / "own" / "other.safetensors")
    with pytest.raises(WeightsError, match="write one of its files as path, as dreams.safetensors"):
        weights.locate(known, "model", "own")


def test_a_part_that_a_folder_lacks_comes_from_where_its_entry_says(
    files: Path, tmp_path: Path, cpu: Device, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(files / "sd1", tmp_path / "own", ignore=shutil.ignore_patterns("vae", "text_encoder"))
    toml = tmp_path / "models.toml"
    whole = entry("whole", "sd1", str(files / "sd1"))
    vae = f'vae = "{files / "sd1" / "vae"}"'
    encoder = f'parts = {{ text_encoder = "{files / "sd1" / "text_encoder"}" }}'
    wanted = None
    for lines in (("",), (vae,), (encoder,), (vae, encoder), ('base = "whole"',), (vae, 'base = "whole"')):
        toml.write_text('default = "whole"\n' + whole + entry("own", "sd1", "own", *lines))
        known = reading.load(toml)
        if lines in (("",), (vae,), (encoder,)):
            lacking = "vae" if lines == (encoder,) else "text_encoder"
            with pytest.raises(WeightsError, match=f"own is not whole: it has no {lacking}/config.json"):
                weights.locate(known, "model", "own")
            continue
        wanted = pixels(paint(known, cpu, "whole")) if wanted is None else wanted
        assert np.array_equal(pixels(paint(known, cpu, "own")), wanted), lines
    toml.write_text(toml.read_text().replace(f'path = "{files / "sd1"}"', 'path = "gone"'))
    monkeypatch.setenv("EASEL_MODELS", str(toml))
    assert program.main(["models", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert f"[models.whole] it is not on this machine: put them into {tmp_path}/gone" in shown
    assert f"[models.own] its base whole is not on this machine: put them into {tmp_path}/gone" in shown
