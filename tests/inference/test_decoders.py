"""Tiny decoders: previews by them, and by the VAE wherever they are not to be had."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.catalog import reading, weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models.handles import PictureModel
from inference.models.store import Store
from inference.painting import decoding
from inference.protocol import Finished, Preview
from inference.tasks import imagine
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for, is_whole, with_model
from tests.inference.folders import hashes


def nothing() -> None:
    pass


def paint(store: Store) -> tuple[Finished, list[Preview]]:
    """One job with its previews."""
    record = Record()
    request = ask_for(steps=3)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    return record.finished()[1], [event for event in record if isinstance(event, Preview)]


def decoder_of(store: Store) -> Any:
    loaded = store.use_decoder("tiny", nothing)
    assert loaded is not None
    return loaded.network


@pytest.mark.usefixtures("many_previews")
def test_the_decoder_paints_previews_and_never_what_is_kept(known: Catalog, cpu: Device, store: Store) -> None:
    without, by_the_vae = paint(store)
    with_decoder = Store(catalog=with_model(known, decoder="tiny"), device=cpu)
    calls: list[int] = []
    decoder_of(with_decoder).decoder.register_forward_hook(lambda *_: calls.append(1))
    finished, previews = paint(with_decoder)
    assert len(calls) == len(previews) == 2
    assert [preview.image for preview in previews] != [preview.image for preview in by_the_vae]
    assert hashes(finished.pictures) == hashes(without.pictures)
    assert finished.recipe == without.recipe, "it decides no bytes"
    assert list(with_decoder.resident()) == ["model sd15", "decoder tiny"]


def sketched(model: PictureModel, latents: torch.Tensor, decoder: Any | None = None) -> list[Image.Image]:
    return decoding.pictures(model.pipeline, decoding.sketch(model.pipeline, model.family, latents, decoder))


def test_a_sketch_is_what_the_decoder_makes_of_the_latents_as_they_are_painted(store: Store) -> None:
    model, decoder = store.use("sd15", nothing), decoder_of(store)
    latents = torch.randn((2, 4, 16, 8), generator=torch.Generator().manual_seed(0))
    sketches = sketched(model, latents, decoder)
    with torch.no_grad():
        own = ((decoder.decode(latents).sample + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    assert [sketch.size for sketch in sketches] == [(32, 64)] * 2
    assert all(
        np.array_equal(np.asarray(one), np.round(pixels * 255)) for one, pixels in zip(sketches, own, strict=True)
    )


def test_the_decoder_gets_more_of_large_latents_than_the_vae(store: Store) -> None:
    model, decoder = store.use("sd15", nothing), decoder_of(store)
    latents = torch.zeros((1, 4, 128, 96))
    assert sketched(model, latents)[0].size == (24 * 8, 32 * 8)
    assert sketched(model, latents, decoder)[0].size == (48 * 4, 64 * 4)


@pytest.mark.usefixtures("many_previews")
def test_without_the_decoders_weights_previews_go_on_through_the_vae_and_it_is_said_once(
    known: Catalog, cpu: Device, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = with_model(known, decoder="unfetched")
    assert "sd15" in weights.available(lacking)
    with caplog.at_level(logging.INFO, "inference.models.store"):
        own = Store(catalog=lacking, device=cpu)
        for _ in range(2):
            paint(own)
    said = [record for record in caplog.records if "unfetched" in record.message]
    assert [record.levelname for record in said] == ["INFO"]
    assert [preview.image for preview in paint(own)[1]] == [preview.image for preview in paint(store)[1]]


@pytest.mark.usefixtures("many_previews")
def test_a_decoder_that_does_not_load_is_the_operators_to_mend_and_stops_no_picture(
    models_toml: Path, cpu: Device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("sd15", "decoder"):
        shutil.copytree(models_toml.parent / folder, tmp_path / folder)
    shutil.copy(models_toml, tmp_path)
    file = tmp_path / "decoder" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    lost = next(name for name in tensors if name.startswith("decoder"))
    del tensors[lost]
    save_file(tensors, file)
    broken = Store(catalog=with_model(reading.load(tmp_path / "models.toml"), decoder="tiny"), device=cpu)
    assert len(paint(broken)[1]) == 2
    assert len(paint(broken)[1]) == 2
    (said,) = [
        record for record in caplog.records if record.levelname == "WARNING" and "decoder tiny" in record.message
    ]
    assert lost in said.message


@pytest.mark.usefixtures("many_previews")
def test_a_decoder_of_another_familys_latents_is_left_out(
    models_toml: Path, cpu: Device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(models_toml.parent / "sd15", tmp_path / "sd15")
    shutil.copy(models_toml, tmp_path)
    tiny.write_decoder(tmp_path / "decoder", channels=16)
    mixed = Store(catalog=with_model(reading.load(tmp_path / "models.toml"), decoder="tiny"), device=cpu)
    assert len(paint(mixed)[1]) == 2
    assert "another family" in caplog.text


def test_where_the_memory_is_another_tasks_previews_do_without_the_decoder(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu, vram_budget_bytes=10)
    with store.lease():
        store.use("sd15", nothing)
        with store.lease():
            assert store.use_decoder("tiny", nothing) is None
    assert store.use_decoder("tiny", nothing) is not None


def test_a_decoder_is_here_with_its_configuration_and_its_weights(models_toml: Path, tmp_path: Path) -> None:
    known = reading.load(models_toml)
    assert weights.available(known, "decoder") == ("tiny", "tiny-16")
    for missing in ("config.json", "diffusion_pytorch_model.safetensors"):
        folder = tmp_path / missing
        shutil.copytree(models_toml.parent / "decoder", folder)
        assert is_whole(folder, known.decoders["tiny"])
        (folder / missing).unlink()
        assert not is_whole(folder, known.decoders["tiny"]), missing
