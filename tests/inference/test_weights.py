"""Weights on disk: the hub's cache, complete and cut short, shards, hashes; and fetching from a hub."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from diffusers import DiffusionPipeline, UNet2DConditionModel

from inference import catalog, weights
from inference.errors import WeightsError
from tests.inference.hub import hub
from tests.inference.peer import TIMEOUT_S, environment

COMMIT = "a" * 40


def hub_model(models_toml: Path, cache: Path) -> catalog.Catalog:
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
    return catalog.load(toml)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_snapshot_in_the_hubs_cache_is_found_and_its_hash_needs_no_reading(models_toml: Path, cache: Path) -> None:
    known = hub_model(models_toml, cache)
    folder = weights.locate(known, "sd15")
    assert folder == cache / "models--somebody--tiny" / "snapshots" / COMMIT
    files = weights.component_files(folder, None)
    plain = weights.component_files(models_toml.parent / "sd15", None)
    assert {part: weights.fingerprint(of) for part, of in files.items()} == {
        part: weights.fingerprint(of) for part, of in plain.items()
    }


def test_a_snapshot_that_was_cut_short_is_not_here(models_toml: Path, cache: Path) -> None:
    known = hub_model(models_toml, cache)
    snapshot = cache / "models--somebody--tiny" / "snapshots" / COMMIT
    shutil.rmtree(snapshot / "safety_checker")
    assert weights.locate(known, "sd15"), "what painting does not use need not be here"
    (snapshot / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert weights.locate(known, "sd15") is None
    shutil.rmtree(snapshot)
    assert weights.locate(known, "sd15") is None


def test_missing_tokenizers_shards_and_nonsense_are_noticed(models_toml: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sd15"
    shutil.copytree(models_toml.parent / "sd15", folder)
    assert weights.is_complete(folder, None)
    shutil.rmtree(folder / "tokenizer")
    assert not weights.is_complete(folder, None)
    shutil.copytree(models_toml.parent / "sd15" / "tokenizer", folder / "tokenizer")
    whole = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shard = folder / "unet" / "diffusion_pytorch_model-00001-of-00001.safetensors"
    whole.rename(shard)
    index = {"weight_map": {"one": shard.name}}
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert weights.component_files(folder, None)["unet"] == [shard]
    shard.unlink()
    assert not weights.is_complete(folder, None)
    (folder / "model_index.json").write_text("[]")
    assert not weights.is_complete(folder, None)


def test_a_variant_is_preferred_and_its_absence_falls_back(models_toml: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sd15"
    shutil.copytree(models_toml.parent / "sd15", folder)
    plain = folder / "unet" / "diffusion_pytorch_model.safetensors"
    half = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    shutil.copy(plain, half)
    files = weights.component_files(folder, "fp16")
    assert files["unet"] == [half]
    assert files["vae"] == [folder / "vae" / "diffusion_pytorch_model.safetensors"]


def test_parameters_are_counted_from_headers_alone(models_toml: Path) -> None:
    folder = models_toml.parent / "sd15"
    files = {"unet": weights.component_files(folder, None)["unet"]}
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    assert weights.parameter_count(files) == sum(parameter.numel() for parameter in unet.parameters())


def test_fetching_downloads_what_painting_needs_and_no_more(models_toml: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(models_toml.parent / "sd15", published)
    for part in ("unet", "vae", "text_encoder", "safety_checker"):
        (plain,) = (published / part).glob("*.safetensors")
        shutil.copy(plain, plain.with_suffix(".fp16.safetensors"))
    (published / "v1-5-pruned.safetensors").write_bytes(b"one file with everything, which diffusers does not read")
    toml = tmp_path / "models.toml"
    hub_entry = 'repo = "somebody/tiny"\nvariant = "fp16"'
    toml.write_text(models_toml.read_text().replace('path = "sd15"', hub_entry))
    environ = environment(toml, HF_HOME=str(tmp_path / "hf"))

    def run(endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "inference", *arguments],
            env={**environ, "HF_ENDPOINT": endpoint},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    with hub("somebody/tiny", published) as (endpoint, downloaded):
        fetched = run(endpoint, "--fetch", "sd15")
        assert fetched.returncode == 0, fetched.stderr
    assert not [file for file in downloaded if "safety" in file or "pruned" in file]
    assert [file for file in sorted(downloaded) if file.endswith("safetensors")] == [
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert "sd15        sd1     yes   somebody/tiny" in run(endpoint, "--list").stdout


def test_a_hub_that_refuses_is_the_operators_to_mend_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("You are offline.\nAsk for access first.")

    monkeypatch.setattr(DiffusionPipeline, "download", refuse)
    entry = catalog.load(Path(__file__).parents[2] / "models.toml").models["sdxl"]
    with pytest.raises(WeightsError) as refused:
        weights.fetch(entry)
    assert str(refused.value) == (
        "stabilityai/stable-diffusion-xl-base-1.0 cannot be fetched: You are offline. Ask for access first."
    )
