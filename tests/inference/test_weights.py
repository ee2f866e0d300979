"""Weights on disk: the hub's cache, complete and cut short, shards, hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from diffusers import UNet2DConditionModel

from inference.catalog import entries, hashes, layouts, reading, weights
from inference.errors import WeightsError
from tests.inference.conftest import is_whole

COMMIT = "a" * 40
ENTRY = entries.ModelEntry(
    title="A",
    family="sd1",
    path="sd15",
    width=32,
    height=32,
    min_size=16,
    max_size=64,
    max_pixels=4096,
    steps=3,
    guidance=4,
    sampler="DDIM",
)


def hub_model(models_toml: Path, cache: Path) -> reading.Catalog:
    """The tiny 1.5 model as the hub's cache keeps it: blobs named by hash, a snapshot of links, a branch."""
    repo = cache / "models--somebody--tiny"
    (repo / "blobs").mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    source = models_toml.parent / "sd15"
    for file in (path for path in source.rglob("*") if path.is_file()):
        blob = repo / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        link = repo / "snapshots" / COMMIT / file.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    toml = cache / "models.toml"
    toml.write_text(models_toml.read_text().replace('path = "sd15"', 'repo = "somebody/tiny"\nrevision = "main"'))
    return reading.load(toml)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_snapshot_in_the_hubs_cache_is_found(models_toml: Path, cache: Path) -> None:
    known = hub_model(models_toml, cache)
    folder = weights.locate(known, "model", "sd15")
    assert folder == cache / "models--somebody--tiny" / "snapshots" / COMMIT
    files = layouts.component_files(folder, None)
    plain = layouts.component_files(models_toml.parent / "sd15", None)
    assert {part: hashes.fingerprint(of) for part, of in files.items()} == {
        part: hashes.fingerprint(of) for part, of in plain.items()
    }


def test_a_snapshot_that_was_cut_short_is_not_here(models_toml: Path, cache: Path) -> None:
    known = hub_model(models_toml, cache)
    snapshot = cache / "models--somebody--tiny" / "snapshots" / COMMIT
    shutil.rmtree(snapshot / "safety_checker")
    assert weights.locate(known, "model", "sd15"), "what painting does not use need not be here"
    (snapshot / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert weights.locate(known, "model", "sd15") is None
    shutil.rmtree(snapshot)
    assert weights.locate(known, "model", "sd15") is None


def test_missing_tokenizers_shards_and_nonsense_are_noticed(models_toml: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sd15"
    shutil.copytree(models_toml.parent / "sd15", folder)
    assert is_whole(folder, ENTRY)
    shutil.rmtree(folder / "tokenizer")
    assert not is_whole(folder, ENTRY)
    shutil.copytree(models_toml.parent / "sd15" / "tokenizer", folder / "tokenizer")
    whole = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shard = folder / "unet" / "diffusion_pytorch_model-00001-of-00001.safetensors"
    whole.rename(shard)
    index = {"weight_map": {"one": shard.name}}
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert layouts.component_files(folder, None)["unet"] == [shard]
    shard.unlink()
    assert not is_whole(folder, ENTRY)
    (folder / "model_index.json").write_text("[]")
    with pytest.raises(WeightsError, match="model_index.json is not the JSON that it should be"):
        is_whole(folder, ENTRY)


def test_a_variant_is_preferred_and_its_absence_falls_back(models_toml: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sd15"
    shutil.copytree(models_toml.parent / "sd15", folder)
    plain = folder / "unet" / "diffusion_pytorch_model.safetensors"
    half = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    shutil.copy(plain, half)
    files = layouts.component_files(folder, "fp16")
    assert files["unet"] == [half]
    assert files["vae"] == [folder / "vae" / "diffusion_pytorch_model.safetensors"]


def test_parameters_are_counted_from_headers_alone(models_toml: Path) -> None:
    folder = models_toml.parent / "sd15"
    files = {"unet": layouts.component_files(folder, None)["unet"]}
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    assert layouts.parameter_count(files["unet"]) == sum(parameter.numel() for parameter in unet.parameters())


def test_a_transformers_folder_is_complete_with_its_weights_its_processor_and_its_tokens(
    models_toml: Path, tmp_path: Path
) -> None:
    known = reading.load(models_toml)
    assert weights.available(known, "describer") == ("florence",)
    assert weights.available(known, "classifier") == ("clip",)
    entry = known.classifiers["clip"]
    for missing in ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"):
        folder = tmp_path / missing
        shutil.copytree(models_toml.parent / "clip", folder)
        assert is_whole(folder, entry)
        (folder / missing).unlink()
        assert not is_whole(folder, entry), missing
    folder = tmp_path / "model.safetensors"
    shard = folder / "model-00001-of-00001.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"one": shard.name}}))
    assert not is_whole(folder, entry)
    shutil.copy(models_toml.parent / "clip" / "model.safetensors", shard)
    assert is_whole(folder, entry)


def test_an_upscaler_needs_all_its_files(models_toml: Path, tmp_path: Path) -> None:
    for name in ("models.toml", "x4.pth", "x2.pth"):
        shutil.copy(models_toml.parent / name, tmp_path / name)
    assert weights.available(reading.load(tmp_path / "models.toml"), "upscaler") == ("x2",)
    shutil.copy(models_toml.parent / "x4-grain.pth", tmp_path / "x4-grain.pth")
    assert weights.available(reading.load(tmp_path / "models.toml"), "upscaler") == ("x4", "x2")


def test_a_file_that_is_called_like_a_hash_is_hashed_all_the_same(tmp_path: Path) -> None:
    blob = tmp_path / ("0" * 64)
    blob.write_bytes(b"something else")
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    assert hashes.sha256(link) == hashes.sha256(blob) == hashlib.sha256(b"something else").hexdigest()


def test_a_file_is_read_once_and_again_when_another_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "a.safetensors", tmp_path / "b"
    file.write_bytes(b"first")
    digests = [hashes.sha256(file), hashes.sha256(file)]
    other.write_bytes(b"other")
    stat = file.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    monkeypatch.setattr(hashes.hashlib, "file_digest", reading := Reading())
    assert hashes.sha256(file) == digests[0]
    assert reading.times == 0
    other.replace(file)
    assert hashes.sha256(file) == hashlib.sha256(b"other").hexdigest()
    assert reading.times == 1
    assert hashes.fingerprints({"unet": [file]}) == {"unet": hashlib.sha256(b"other").hexdigest()[:10]}
    assert reading.times == 1


class Reading:
    """hashlib.file_digest, with a count."""

    def __init__(self) -> None:
        self.times = 0
        self._digest = hashlib.file_digest

    def __call__(self, *arguments: Any) -> Any:
        self.times += 1
        return self._digest(*arguments)
