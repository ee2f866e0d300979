"""`models convert`: pickles made into safetensors, and never run."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inference import __main__ as program
from inference.catalog import reading, weights
from inference.errors import WeightsError
from tests.inference import broken
from tests.inference.test_checkpoints import entry


def convert(place: Path) -> int:
    return program.main(["models", "convert", str(place)])


def test_a_checkpoint_becomes_what_can_be_added(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(files / "sd1.safetensors")
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "old.ckpt")
    toml = tmp_path / "models.toml"
    config = f'config = "{files / "sd1-config"}"'
    toml.write_text('default = "old"\n' + entry("old", "sd1", "old.ckpt", config))
    with pytest.raises(WeightsError, match=f"is a pickle: python -m inference models convert {tmp_path}/old.ckpt"):
        weights.locate(reading.load(toml), "model", "old")
    assert convert(tmp_path / "old.ckpt") == 0
    made = Path(capsys.readouterr().out.strip())
    assert made == tmp_path / "old.safetensors"
    held = load_file(made)
    assert held.keys() == tensors.keys()
    assert all(torch.equal(held[name], tensor) for name, tensor in tensors.items())
    assert convert(tmp_path / "old.ckpt") == 2
    assert "old.safetensors is there already" in capsys.readouterr().err


def test_a_folder_of_pickles_becomes_one_that_loads(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(files / "sd1", folder)
    for part, name in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        file = folder / part / f"{name}.safetensors"
        torch.save(load_file(file), folder / part / f"{'pytorch_model' if name == 'model' else name}.bin")
        file.unlink()
    toml = tmp_path / "models.toml"
    toml.write_text('default = "model"\n' + entry("model", "sd1", "model"))
    known = reading.load(toml)
    with pytest.raises(WeightsError, match=f"but pickled weights: python -m inference models convert {folder} makes"):
        weights.locate(known, "model", "model")
    assert convert(folder) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert weights.locate(known, "model", "model") == folder
    logging.captureWarnings(False)


def test_what_holds_more_than_tensors_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = tmp_path / "ran"
    (tmp_path / "evil.ckpt").write_bytes(broken.pickled(proof))
    torch.save({"state_dict": broken.Runs(proof)}, tmp_path / "new.ckpt")
    (tmp_path / "text.ckpt").write_text("404: Not Found")
    torch.save([1, 2], tmp_path / "list.ckpt")
    for name in ("evil", "new", "text", "list", "nowhere"):
        assert convert(tmp_path / f"{name}.ckpt") == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"easel: {tmp_path / name}.ckpt ")
    assert not proof.exists()
    assert not list(tmp_path.glob("*.safetensors*"))
