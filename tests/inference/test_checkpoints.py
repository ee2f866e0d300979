"""One file of a whole model: what it paints is what its diffusers folder paints, in every family with such files."""

from __future__ import annotations

import hashlib
import io
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from inference import families
from inference.catalog import reading, telling, weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import WeightsError
from inference.families import flux
from inference.families.releases import CLIP_MERGES, CONFIGS
from inference.models import checkpoints
from inference.models.store import Store
from inference.protocol import Finished, Lora
from tests.inference import tiny_files
from tests.inference.conftest import ask_for, paint_from
from tests.inference.folders import bytes_of

FAMILIES = {
    "sd1": "sd1",
    "sd2": "sd2",
    "sdxl": "sdxl",
    "sd35": "sd3",
    "flux": "flux",
    "inpainting": "sd1",
    "inpainting-xl": "sdxl",
    "chroma": "chroma",
    "zimage": "zimage",
}
BASED = ("chroma", "zimage")
"""Whose configurations come from a model that is a folder."""
FURTHER = dict.fromkeys(("sd35", "flux", *BASED), 'base = "folder"')
"""What the files of families lack that read words with others than CLIP: their tokenizers."""


def entry(table: str, name: str, path: str, *lines: str) -> str:
    flow = FAMILIES[name] in ("sd3", "flux", *BASED)
    own = ['sampler = "FlowMatch Euler"', "size_multiple = 16"] if flow else ['sampler = "DDIM"']
    own += ["negative = false"] * (name == "flux")
    fields = [
        *(f'[models.{table}]\ntitle = "{table}"\nfamily = "{FAMILIES[name]}"\npath = "{path}"', *own, *lines),
        "width = 32\nheight = 32\nmin_size = 16\nmax_size = 64\nmax_pixels = 4096\nsteps = 2\nguidance = 4\n",
    ]
    return "\n".join(fields)


@pytest.fixture
def catalogue(files: Path, tmp_path: Path) -> Callable[..., Catalog]:
    """A catalogue of a model as a folder, and of the same as one file, with these lines in its entry."""

    def written(name: str, *lines: str, file: Path | None = None, folder: str | None = None) -> Catalog:
        toml = tmp_path / "models.toml"
        path = files / f"{name}.safetensors" if file is None else file
        config = "" if name in BASED else f'config = "{files / f"{name}-config"}"'
        told = (config, *lines)
        own = entry("folder", name, str(files / name) if folder is None else folder)
        toml.write_text('default = "folder"\n' + own + entry("file", name, str(path), *told))
        return reading.load(toml)

    return written


def paint(known: Catalog, cpu: Device, model: str, **changes: Any) -> Finished:
    entry = known.models[model]
    asked = ask_for(model=model, sampler=entry.sampler, guidance=entry.guidance, **changes)
    return paint_from({}, Store(catalog=known, device=cpu), asked)[1]


def pixels(finished: Finished) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0]))).convert("RGB"))


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl", "sd35", "flux", *BASED])
def test_a_file_paints_what_its_folder_paints_and_its_recipe_names_its_bytes(
    name: str,
    files: Path,
    catalogue: Callable[..., Catalog],
    cpu: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it asks somebody")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    tiny_files.tiny_flux(monkeypatch)
    known = catalogue(name, FURTHER.get(name, ""))
    folder, file, again = (paint(known, cpu, model) for model in ("folder", "file", "file"))
    assert np.array_equal(pixels(file), pixels(folder))
    assert bytes_of(file.pictures[0]) == bytes_of(again.pictures[0])
    digest = hashlib.sha256((files / f"{name}.safetensors").read_bytes()).hexdigest()
    assert file.recipe["model"]["revision"] == digest
    assert file.recipe["model"]["hash"] == digest[:10]
    assert folder.recipe["model"]["revision"] is None


def test_the_shipped_vocabulary_is_clips_own(tmp_path: Path) -> None:
    assert hashlib.sha256(CLIP_MERGES.read_bytes()).hexdigest().startswith("9fd691f7c803")
    tokenizer = checkpoints.clip_tokenizer(CONFIGS / "sd1" / "tokenizer")
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    # As transformers reads the files that are published beside the models.
    for release, name in (("sdxl", "tokenizer"), ("sdxl", "tokenizer_2")):
        own = checkpoints.clip_tokenizer(CONFIGS / release / name)
        own.save_pretrained(tmp_path / name)
        read = CLIPTokenizer.from_pretrained(tmp_path / name)
        for text in ("a red house at sea!", "Ünïcödé 猫 :-) 12345", "!", "x" * 200):
            told = {"padding": "max_length", "truncation": True, "max_length": 77}
            assert own(text, **told).input_ids == read(text, **told).input_ids


@pytest.mark.parametrize("kept_in", [torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_halves_and_8_bit_floats_are_computed_in_what_the_device_computes_in(
    kept_in: torch.dtype, files: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path
) -> None:
    tensors = load_file(files / "sd1.safetensors")
    small = {
        name: tensor.to(kept_in) if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        for name, tensor in tensors.items()
    }
    rounded = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in small.items()}
    pictures = []
    for name, held in (("small", small), ("rounded", rounded)):
        file = tiny_files.write(tmp_path / f"{name}.safetensors", held)
        pictures.append(paint(catalogue("sd1", file=file), cpu, "file"))
    assert pictures[0].recipe["device"]["dtype"] == "float32"
    assert np.array_equal(pixels(pictures[0]), pixels(pictures[1]))


def scaled(tensors: tiny_files.Tensors) -> tuple[tiny_files.Tensors, tiny_files.Tensors]:
    """Matrices of the denoiser as ComfyUI scales them into 8 bits, and what they come to."""
    small, large = dict(tensors), dict(tensors)
    for name, tensor in tensors.items():
        if name.startswith("model.diffusion_model.") and tensor.ndim == 2 and name.endswith(".weight"):
            scale = tensor.abs().max() / 448
            small[name] = (tensor / scale).to(torch.float8_e4m3fn)
            small[f"{name.removesuffix('weight')}scale_weight"] = scale
            large[name] = small[name].float() * scale
    return small | {"scaled_fp8": torch.empty(2, dtype=torch.float8_e4m3fn)}, large


def test_scaled_8_bit_floats_are_multiplied_out(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path
) -> None:
    small, large = scaled(load_file(files / "sd1.safetensors"))
    pictures = []
    for name, held in (("small", small), ("large", large)):
        file = tiny_files.write(tmp_path / f"{name}.safetensors", held)
        pictures.append(pixels(paint(catalogue("sd1", file=file), cpu, "file")))
    assert np.array_equal(*pictures)


def test_v_prediction_and_noise_that_ends_in_noise_alone_are_read_from_their_marks(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path
) -> None:
    tensors = load_file(files / "sdxl.safetensors")
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    file = tiny_files.write(tmp_path / "marked.safetensors", {**tensors, **marks})
    told = paint(catalogue("sdxl", file=file), cpu, "file")
    config = told.recipe["scheduler"]["config"]
    assert config["prediction_type"] == "v_prediction"
    assert config["rescale_betas_zero_snr"] is True
    assert config["timestep_spacing"] == "trailing"
    plain = catalogue("sdxl", 'prediction = "v_prediction"\nzero_snr = true')
    assert np.array_equal(pixels(told), pixels(paint(plain, cpu, "file")))
    for line in ("guidance_rescale = 0", 'prediction = "epsilon"', "zero_snr = false"):
        changed = paint(catalogue("sdxl", line, file=file), cpu, "file")
        assert not np.array_equal(pixels(told), pixels(changed)), line
    with pytest.raises(WeightsError, match="zero_snr is for what predicts v"):
        weights.locate(catalogue("sdxl", "zero_snr = true"), "model", "file")
    rescaled = paint(catalogue("sdxl", "guidance_rescale = 0.7", file=file), cpu, "file")
    assert np.array_equal(pixels(told), pixels(rescaled))
    assert rescaled.recipe["model"]["guidance_rescale"] == 0.7
    assert "guidance_rescale" not in paint(catalogue("sdxl"), cpu, "file").recipe["model"]


def test_moving_averages_beside_the_weights_change_nothing(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path
) -> None:
    tensors = load_file(files / "sd1.safetensors")
    averages = {
        f"model_ema.{name.removeprefix('model.').replace('.', '')}": torch.zeros_like(tensor)
        for name, tensor in tensors.items()
        if name.startswith("model.diffusion_model.")
    }
    file = tiny_files.write(tmp_path / "ema.safetensors", {**tensors, **averages, "global_step": torch.ones(1)})
    known = catalogue("sd1", file=file)
    assert np.array_equal(pixels(paint(known, cpu, "file")), pixels(paint(known, cpu, "folder")))


def without(tensors: tiny_files.Tensors, *starts: str) -> tiny_files.Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(starts)}


def test_a_denoiser_alone_says_what_it_lacks_and_takes_parts_from_files_folders_and_other_models(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_files.tiny_flux(monkeypatch)
    tensors = load_file(files / "flux.safetensors")
    bare = {name.removeprefix("model.diffusion_model."): tensor for name, tensor in tensors.items()}
    alone = tiny_files.write(tmp_path / "alone.safetensors", without(bare, "vae.", "text_encoders."))
    known = catalogue("flux", file=alone)
    with pytest.raises(WeightsError) as told:
        weights.locate(known, "model", "file")
    assert "is a FLUX.1 dev model without text_encoder, text_encoder_2, tokenizer_2, vae" in str(told.value)
    assert 'vae = "…" and parts = { text_encoder = "…", text_encoder_2 = "…", tokenizer_2' in str(told.value)
    clip, t5 = "text_encoders.clip_l.transformer.", "text_encoders.t5xxl.transformer."
    for name, start in (("clip_l", clip), ("t5xxl", t5)):
        own = {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
        tiny_files.write(tmp_path / f"{name}.safetensors", own)
    ae = {key.removeprefix("vae."): tensor for key, tensor in tensors.items() if key.startswith("vae.")}
    tiny_files.write(tmp_path / "ae.safetensors", ae)
    apart = (
        'vae = "ae.safetensors"\nparts = { text_encoder = "clip_l.safetensors", text_encoder_2 = "t5xxl.safetensors",'
        f' tokenizer_2 = "{files / "flux" / "tokenizer_2"}" }}'
    )
    wanted = pixels(paint(catalogue("flux", 'base = "folder"'), cpu, "folder"))
    for lines in (apart, 'base = "folder"'):
        assert np.array_equal(pixels(paint(catalogue("flux", lines, file=alone), cpu, "file")), wanted)
    recipe = paint(catalogue("flux", apart, file=alone), cpu, "file").recipe["model"]
    assert recipe["vae"] == "ae.safetensors"
    assert recipe["components"]["vae"] == hashlib.sha256((tmp_path / "ae.safetensors").read_bytes()).hexdigest()[:10]


def test_a_release_without_configurations_of_its_own_has_those_of_its_base(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    releases = tuple(replace(release, config=None) for release in flux.FAMILY.releases)
    monkeypatch.setitem(families.FAMILIES, "flux", replace(flux.FAMILY, releases=releases))
    tiny_files.tiny_flux(monkeypatch)
    catalogue("flux")
    toml = tmp_path / "models.toml"
    plain = toml.read_text().replace(f'config = "{files / "flux-config"}"\n', "")
    toml.write_text(plain)
    with pytest.raises(WeightsError, match="whose configurations do not come with Easel: write base"):
        weights.locate(reading.load(toml), "model", "file")
    toml.write_text(plain.replace("[models.file]\n", '[models.file]\nbase = "folder"\n'))
    known = reading.load(toml)
    assert np.array_equal(pixels(paint(known, cpu, "file")), pixels(paint(known, cpu, "folder")))


@pytest.mark.parametrize(("name", "title"), [("chroma", "Chroma"), ("zimage", "Z-Image")])
def test_a_denoiser_alone_has_all_else_from_its_base(
    name: str,
    title: str,
    files: Path,
    catalogue: Callable[..., Catalog],
    cpu: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_files.tiny_flux(monkeypatch)
    start = "model.diffusion_model."
    tensors = load_file(files / f"{name}.safetensors")
    own = {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
    alone = tiny_files.write(tmp_path / "alone.safetensors", own)
    with pytest.raises(WeightsError, match=f"is a {title} model, whose configurations do not come with Easel"):
        weights.locate(catalogue(name, file=alone), "model", "file")
    known = catalogue(name, 'base = "folder"', file=alone)
    assert weights.assemble(known, "file", alone).elsewhere.keys() == {"vae", "text_encoder"}
    assert np.array_equal(pixels(paint(known, cpu, "file")), pixels(paint(known, cpu, "folder")))
    changed = {key: tensor * 1.5 for key, tensor in own.items()}
    other = catalogue(name, 'base = "folder"', file=tiny_files.write(tmp_path / "other.safetensors", changed))
    assert not np.array_equal(pixels(paint(other, cpu, "file")), pixels(paint(other, cpu, "folder")))


@pytest.mark.parametrize("lines", ['base = "folder"', 'config = "flux-config"'])
def test_configurations_of_another_kind_are_refused(lines: str, files: Path, tmp_path: Path) -> None:
    (tmp_path / "flux-config").symlink_to(files / "flux-config")
    toml = tmp_path / "models.toml"
    other = entry("folder", "flux", str(files / "flux"))
    toml.write_text(f'default = "folder"\n{other}' + entry("file", "chroma", str(files / "chroma.safetensors"), lines))
    with pytest.raises(WeightsError, match="is a Chroma model, and .* is of a FluxPipeline: name one of its own kind"):
        weights.locate(reading.load(toml), "model", "file")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("chroma", {"img_in.weight": (32, 3)}),
        ("zimage", {"siglip_embedder.1.weight": (32, 8)}),
        ("zimage", {"layers.0.adaLN_modulation.0.weight": None, "layers.0.adaLN_modulation.1.weight": (8, 8)}),
    ],
)
def test_relatives_that_no_family_here_paints_are_told(
    name: str, changes: dict[str, tuple[int, ...] | None], files: Path, tmp_path: Path
) -> None:
    tensors = load_file(files / f"{name}.safetensors")
    for key, shape in changes.items():
        tensors.pop(f"model.diffusion_model.{key}", None)
        if shape is not None:
            tensors[f"model.diffusion_model.{key}"] = torch.ones(shape)
    file = tiny_files.write(tmp_path / "relative.safetensors", tensors)
    with pytest.raises(WeightsError, match="is a model of a family that is not here"):
        telling.checkpoint(file)


def test_a_denoiser_of_z_image_in_the_layout_of_diffusers_is_told(files: Path, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").symlink_to(files / "zimage" / "transformer" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(WeightsError, match="is a denoiser in the layout of diffusers: it belongs into a folder"):
        telling.checkpoint(tmp_path / "a.safetensors")


def test_stable_diffusion_3_does_without_t5_where_nobody_has_its_tokenizer_and_says_so(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, caplog: pytest.LogCaptureFixture
) -> None:
    known = catalogue("sd35")
    finished = paint(known, cpu, "file")
    assert not np.array_equal(pixels(finished), pixels(paint(known, cpu, "folder")))
    assert sorted(finished.recipe["model"]["components"]) == ["text_encoder", "text_encoder_2", "transformer", "vae"]
    assert "does without text_encoder_3, tokenizer_3" in caplog.text


def test_a_vae_of_ones_own_paints_and_stands_in_the_recipe_and_one_of_other_latents_is_refused(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path
) -> None:
    other = AutoencoderKL.from_config(AutoencoderKL.load_config(files / "sd1" / "vae"))
    other.save_pretrained(tmp_path / "other")
    tiny_files.write(tmp_path / "other.safetensors", tiny_files.vae(other))
    tiny_files.write(tmp_path / "saved.safetensors", dict(other.state_dict()))
    plain = pixels(paint(catalogue("sd1"), cpu, "file"))
    painted = []
    for path in ("other", "other.safetensors", "saved.safetensors"):
        finished = paint(catalogue("sd1", f'vae = "{path}"'), cpu, "file")
        painted.append(pixels(finished))
        assert finished.recipe["model"]["vae"] == path
    assert not np.array_equal(plain, painted[0])
    assert all(np.array_equal(painted[0], others) for others in painted)
    toml = tmp_path / "models.toml"
    toml.write_text('default = "folder"\n' + entry("folder", "sd1", str(files / "sd1"), 'vae = "other.safetensors"'))
    of_folder = paint(reading.load(toml), cpu, "folder")
    assert np.array_equal(pixels(of_folder), painted[0])
    for wrong in (files / "flux" / "vae", files / "flux.safetensors"):
        with pytest.raises(WeightsError, match="has 4" if wrong.is_dir() else "has 4|no VAE"):
            weights.locate(catalogue("sd1", f'vae = "{wrong}"'), "model", "file")
    shutil.copy(files / "sd1.safetensors", tmp_path / "whole.safetensors")
    with pytest.raises(WeightsError, match="is not there, which models.toml names as vae"):
        weights.locate(catalogue("sd1", 'vae = "nowhere.safetensors"'), "model", "file")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('vae = "lora.safetensors"', "is a LoRA, and no VAE"),
        ('parts = { text_encoder_9 = "lora.safetensors" }', "has no part text_encoder_9, which models.toml names"),
    ],
)
def test_what_is_no_such_part_is_told(lines: str, said: str, catalogue: Callable[..., Catalog], tmp_path: Path) -> None:
    tiny_files.write(tmp_path / "lora.safetensors", {"lora_unet_a.lora_down.weight": torch.ones(1, 1)})
    with pytest.raises(WeightsError, match=said):
        weights.locate(catalogue("sd1", lines), "model", "file")


def test_a_file_of_another_family_or_of_no_model_or_in_4_bits_is_told(
    files: Path, catalogue: Callable[..., Catalog], tmp_path: Path
) -> None:
    lora = tiny_files.write(tmp_path / "lora.safetensors", {"lora_unet_a.lora_down.weight": torch.ones(1, 1)})
    tensors = load_file(files / "sd1.safetensors")
    name = "model.diffusion_model.time_embed.0.weight"
    packed = tiny_files.write(tmp_path / "packed.safetensors", {**tensors, name: tensors[name].to(torch.uint8)})
    for file, said in (
        (files / "sdxl.safetensors", "is a Stable Diffusion XL model: write family = 'sdxl', not 'sd1'"),
        (files / "flux.safetensors", "is a FLUX.1 dev model: write family = 'flux', not 'sd1'"),
        (files / "chroma.safetensors", "is a Chroma model: write family = 'chroma', not 'sd1'"),
        (files / "zimage.safetensors", "is a Z-Image model: write family = 'zimage', not 'sd1'"),
        (lora, "is a LoRA, and no picture model of one file"),
        (packed, "is a Stable Diffusion 1 model with weights in U8, which are not read here"),
    ):
        with pytest.raises(WeightsError, match=said):
            weights.locate(catalogue("sd1", file=file), "model", "file")


def test_a_file_with_a_weight_missing_or_of_other_sizes_does_not_load(
    files: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path
) -> None:
    tensors = load_file(files / "sd1.safetensors")
    lacking = without(tensors, "model.diffusion_model.time_embed.2.bias")
    file = tiny_files.write(tmp_path / "lacking.safetensors", lacking)
    with pytest.raises(WeightsError, match="does not load as a sd1 model: weights of its unet are missing"):
        Store(catalog=catalogue("sd1", file=file), device=cpu).use("file", lambda: None)
    lacking = without(tensors, "cond_stage_model.transformer.text_model.final_layer_norm")
    file = tiny_files.write(tmp_path / "encoder.safetensors", lacking)
    with pytest.raises(WeightsError, match="2 weights of its text_encoder are missing, final_layer_norm.weight among"):
        Store(catalog=catalogue("sd1", file=file), device=cpu).use("file", lambda: None)
    catalogue("sd1")
    toml = tmp_path / "models.toml"
    toml.write_text(toml.read_text().replace(f'config = "{files / "sd1-config"}"\n', ""))
    with pytest.raises(WeightsError, match="sd1.safetensors does not load as a sd1 model: .* shape"):
        Store(catalog=reading.load(toml), device=cpu).use("file", lambda: None)


def test_loras_work_in_it_as_in_its_folder(
    files: Path, models_toml: Path, catalogue: Callable[..., Catalog], cpu: Device, tmp_path: Path
) -> None:
    catalogue("sd1")
    toml = tmp_path / "models.toml"
    lora = f'[loras.ink]\ntitle = "Ink"\npath = "{models_toml.parent / "ink.safetensors"}"\n'
    toml.write_text(toml.read_text() + lora + 'models = ["file", "folder"]\n')
    known = reading.load(toml)
    plain, *inked = (
        pixels(paint(known, cpu, model, loras=(Lora("ink", weight),)))
        for model, weight in (("file", 0.0), ("file", 1.0), ("folder", 1.0))
    )
    assert np.array_equal(*inked)
    assert not np.array_equal(plain, inked[0])


def test_a_sha256_of_another_file_is_told(files: Path, catalogue: Callable[..., Catalog], cpu: Device) -> None:
    known = catalogue("sd1", f'sha256 = "{"0" * 64}"')
    with pytest.raises(WeightsError, match="is another file than sha256 in models.toml says"):
        Store(catalog=known, device=cpu).use("file", lambda: None)
