"""GGUF files: a denoiser whose weights stay in small blocks paints nearly what the whole one paints, and hostile files
are refused by their headers."""

from __future__ import annotations

import hashlib
import struct
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from diffusers.quantizers.gguf.utils import SUPPORTED_GGUF_QUANT_TYPES, GGUFParameter
from safetensors.torch import load_file

from inference import __main__ as program
from inference.catalog import ggufs, headers, reading, telling, weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import CatalogError, WeightsError
from inference.families.releases import WHOLE
from inference.models import blocks, placement
from inference.models.store import Store
from inference.protocol import Lora
from tests.inference import tiny_add_ons, tiny_files
from tests.inference.cards import card
from tests.inference.folders import bytes_of
from tests.inference.test_checkpoints import FAMILIES, catalogue, paint, pixels

__all__ = ["catalogue"]

BASE = 'base = "folder"'
MODELS = ("flux", "chroma", "zimage", "sd35")
BLOCKS = [kind for kind in map(gguf.GGMLQuantizationType, SUPPORTED_GGUF_QUANT_TYPES) if kind.name not in blocks.PLAIN]
"""Kinds of weights in blocks, as far as diffusers reads them."""


def kind_of(tensor: torch.Tensor, kind: str, others: str) -> str:
    """Matrices are kept in blocks where their rows have whole ones, and all else otherwise."""
    block, _ = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    return kind if tensor.ndim == 2 and tensor.shape[1] % block == 0 else others


def write(file: Path, tensors: tiny_files.Tensors, kind: str = "Q8_0", others: str = "F32", **own: str) -> Path:
    """Such a file as ComfyUI's users have, with tensors of a kind of their `own`."""
    writer = gguf.GGUFWriter(file, "flux")
    writer.add_quantization_version(2)
    writer.add_array("test.words", ["a", "word"])
    for name, tensor in tensors.items():
        numbers = tensor.detach().float().contiguous().numpy()
        chosen = gguf.GGMLQuantizationType[own.get(name) or kind_of(tensor, kind, others)]
        if chosen.name in ("F32", "F16"):
            writer.add_tensor(name, numbers.astype(np.float32 if chosen.name == "F32" else np.float16))
        else:
            writer.add_tensor(name, gguf.quants.quantize(numbers, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def denoiser(files: Path, name: str) -> tiny_files.Tensors:
    """By the names that it has where it is alone."""
    held = load_file(files / f"{name}.safetensors")
    return {own.removeprefix(WHOLE): tensor for own, tensor in held.items() if own.startswith(WHOLE)}


@pytest.fixture
def flux(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_files.tiny_flux(monkeypatch)
    return write(tmp_path / "flux-Q8_0.gguf", denoiser(files, "flux"))


@pytest.mark.parametrize("name", MODELS)
def test_a_file_paints_nearly_what_its_folder_paints_and_the_same_again(
    name: str,
    files: Path,
    catalogue: Callable[..., Catalog],
    cpu: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_files.tiny_flux(monkeypatch)
    small = write(tmp_path / "small.gguf", denoiser(files, name))
    known = catalogue(name, BASE, file=small)
    folder, file, again = (paint(known, cpu, model) for model in ("folder", "file", "file"))
    assert bytes_of(file.pictures[0]) == bytes_of(again.pictures[0])
    off = np.abs(pixels(file).astype(float) - pixels(folder))
    assert 0 < off.mean() < 8
    digest = hashlib.sha256(small.read_bytes()).hexdigest()
    assert (file.recipe["model"]["revision"], file.recipe["model"]["hash"]) == (digest, digest[:10])


@pytest.mark.parametrize(
    ("kind", "others", "own"),
    [
        ("F16", "F16", {}),
        ("BF16", "BF16", {}),
        ("Q4_0", "BF16", {}),
        # No linear layer reads a vector in blocks.
        ("F32", "F32", {"txt_in.bias": "Q8_0"}),
    ],
)
def test_it_paints_what_its_numbers_paint_whatever_they_are_kept_in(
    kind: str,
    others: str,
    own: dict[str, str],
    files: Path,
    catalogue: Callable[..., Catalog],
    cpu: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_files.tiny_flux(monkeypatch)
    tensors = denoiser(files, "flux")
    file = write(tmp_path / "small.gguf", tensors, kind, others, **own)
    numbers = {name: back(of, own.get(name) or kind_of(of, kind, others)) for name, of in tensors.items()}
    whole = tiny_files.write(tmp_path / "whole.safetensors", numbers)
    painted = [pixels(paint(catalogue("flux", BASE, file=one), cpu, "file")) for one in (file, whole)]
    assert np.array_equal(*painted)


def back(tensor: torch.Tensor, kind: str) -> torch.Tensor:
    """The numbers that such blocks stand for."""
    known = gguf.GGMLQuantizationType[kind]
    packed = gguf.quants.quantize(tensor.float().contiguous().numpy(), known)
    numbers = torch.from_numpy(gguf.quants.dequantize(packed, known).copy()).reshape(tensor.shape)
    # Scales are halves, and so diffusers multiplies.
    return numbers.half().float() if kind in ggufs.PACKED else numbers


def test_its_header_is_what_the_library_reads(flux: Path) -> None:
    read = gguf.GGUFReader(flux)
    found = ggufs.tensors(flux)
    assert len(found) == len(read.tensors) > 50
    for tensor in read.tensors:
        own = found[tensor.name]
        assert own.shape == tuple(reversed(tensor.shape.tolist()))
        assert (own.kind.name, own.start, own.size) == (
            tensor.tensor_type.name,
            tensor.data_offset,
            tensor.n_bytes,
        )
    for number, kind in ggufs.KINDS.items():
        known = gguf.GGMLQuantizationType(number)
        assert (kind.name, (kind.numbers, kind.size)) == (known.name, gguf.GGML_QUANT_SIZES[known])


def test_on_a_card_it_takes_what_it_takes_on_the_disk(catalogue: Callable[..., Catalog], flux: Path) -> None:
    known = catalogue("flux", BASE, file=flux)
    entry, device = known.models["file"], card()
    needed = placement.measure(weights.assemble(known, "file", flux), entry, device)
    found = ggufs.tensors(flux).values()
    packed = sum(tensor.size for tensor in found if tensor.kind.name == "Q8_0")
    plain = sum(int(np.prod(tensor.shape)) for tensor in found if tensor.kind.name == "F32")
    assert packed > 0 < plain
    assert needed.parts["transformer"] == packed + plain * placement.dtype(entry, device).itemsize


def test_the_loaded_model_is_as_small(catalogue: Callable[..., Catalog], cpu: Device, flux: Path) -> None:
    sizes = {}
    for model in ("file", "folder"):
        store = Store(catalog=catalogue("flux", BASE, file=flux), device=cpu)
        network = store.use(model, lambda: None).pipeline.transformer
        sizes[model] = sum(parameter.nbytes for parameter in network.parameters())
    assert sizes["file"] < 0.4 * sizes["folder"]


def test_a_lora_works_in_it_and_weight_0_is_the_base(
    catalogue: Callable[..., Catalog], cpu: Device, flux: Path, tmp_path: Path
) -> None:
    known = catalogue("flux", BASE, file=flux)
    network = Store(catalog=known, device=cpu).use("folder", lambda: None).pipeline.transformer
    tiny_add_ons.write_flux(tmp_path / "ink.safetensors", tmp_path / "kohya.safetensors", network)
    layer = "lycoris_double_blocks_0_img_attn_proj"
    tiny_files.write(
        tmp_path / "dora.safetensors",
        {
            f"{layer}.lora_down.weight": torch.randn(2, 32),
            f"{layer}.lora_up.weight": torch.randn(32, 2),
            # What it makes of a layer depends on the layer's own weights.
            f"{layer}.dora_scale": torch.ones(32, 1),
        },
    )
    toml = tmp_path / "models.toml"
    for name in ("ink", "kohya", "dora"):
        entry = f'[loras.{name}]\ntitle = "{name}"\npath = "{name}.safetensors"\nmodels = ["file", "folder"]\n'
        toml.write_text(toml.read_text() + entry)
    known, plain = reading.load(toml), paint(known, cpu, "file")
    for name in ("ink", "kohya", "dora"):
        with_it, folder = (pixels(paint(known, cpu, one, loras=(Lora(name, 1.0),))) for one in ("file", "folder"))
        assert np.abs(with_it.astype(float) - folder).mean() < 8
        assert not np.array_equal(with_it, pixels(plain))
        off = paint(known, cpu, "file", loras=(Lora(name, 0.0),))
        assert np.array_equal(pixels(off), pixels(plain))


def test_what_is_added_paints(
    files: Path,
    flux: Path,
    catalogue: Callable[..., Catalog],
    cpu: Device,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    catalogue("flux", BASE)
    monkeypatch.setenv("EASEL_MODELS", str(tmp_path / "models.toml"))
    assert program.main(["models", "add", str(flux), "--config", str(files / "flux-config"), "--name", "new"]) == 0
    assert "is a FLUX.1 dev model in Q8_0" in capsys.readouterr().out
    written = tomllib.loads((tmp_path / "models.toml").read_text())["models"]["new"]
    assert (written["family"], written["path"], written["base"]) == ("flux", "flux-Q8_0.gguf", "folder")
    known = reading.load(tmp_path / "models.toml")
    assert paint(known, cpu, "new", width=512, height=512, steps=1).pictures


def test_a_library_that_is_not_here_is_named_and_the_model_not_offered(
    catalogue: Callable[..., Catalog], flux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = catalogue("flux", BASE, file=flux)
    assert weights.available(known) == ("folder", "file")
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == "gguf" else object())
    assert weights.available(known) == ("folder",)
    assert weights.reason(known, "model", "file") == "it needs a library that is not here: pip install 'easel[gguf]'"


def test_another_family_smaller_weights_and_unets_are_refused_with_what_it_is(
    catalogue: Callable[..., Catalog], files: Path, flux: Path, tmp_path: Path
) -> None:
    known = catalogue("flux", BASE, file=flux)
    wrong = replace_entry(known, family="chroma")
    with pytest.raises(WeightsError, match=r"is a FLUX.1 dev model: write family = 'flux', not 'chroma'"):
        weights.assemble(wrong, "file", flux)
    with pytest.raises(CatalogError, match="weights: those of a .gguf file are used as they lie there"):
        catalogue("flux", BASE, 'weights = "nf4"', file=flux)
    unet = write(tmp_path / "sd1.gguf", {f"{WHOLE}{name}": of for name, of in denoiser(files, "sd1").items()})
    with pytest.raises(WeightsError, match="is a GGUF file of a Stable Diffusion 1 model, and of those only models"):
        weights.locate(catalogue("sd1", file=unet), "model", "file")
    whole = write(tmp_path / "whole.gguf", load_file(files / "flux.safetensors"))
    with pytest.raises(WeightsError, match="is a GGUF file with text_encoder, text_encoder_2, vae in it"):
        weights.locate(catalogue("flux", BASE, file=whole), "model", "file")
    for field in ('vae = "flux-Q8_0.gguf"', 'parts = { text_encoder_2 = "flux-Q8_0.gguf" }'):
        with pytest.raises(WeightsError, match="is a GGUF file, and"):
            weights.locate(catalogue("flux", BASE, field), "model", "file")
    with pytest.raises(WeightsError, match="is a GGUF file, and of those only picture models are read"):
        headers.tensors(flux)


def replace_entry(known: Catalog, **changes: Any) -> Catalog:
    from msgspec.structs import replace as changed

    return replace(known, models={**known.models, "file": changed(known.models["file"], **changes)})


def text(words: bytes) -> bytes:
    return struct.pack("<Q", len(words)) + words


def info(name: bytes = b"a", shape: tuple[int, ...] = (32,), kind: int = 0, start: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, start)


def content(count: int, fields: int, rest: bytes, data: int = 128, version: int = 3) -> bytes:
    told = b"GGUF" + struct.pack("<IQQ", version, count, fields) + rest
    return told + b"\0" * (-len(told) % 32 + data)


HOSTILE = {
    "empty": (b"", "is empty"),
    "page": (b"<!DOCTYPE html><html></html>", "is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "another mark": (b"GGML" + b"\0" * 100, "is no whole GGUF file (it does not begin as one)"),
    "mark alone": (b"GGUF", "is no whole GGUF file"),
    "version": (content(0, 0, b"", version=1), "version 1"),
    "other ends": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648"),
    "many tensors": (content(2**63, 0, b""), "is no whole GGUF file"),
    "many fields": (content(0, 2**63, b""), "is no whole GGUF file"),
    "long array": (content(0, 1, text(b"a") + struct.pack("<IIQ", 9, 0, 2**62)), "its header is cut"),
    "long words": (content(0, 1, text(b"a") + struct.pack("<IIQQ", 9, 8, 2**62, 2**62)), "its header is cut"),
    "nested": (content(0, 1, text(b"a") + struct.pack("<IIQIQ", 9, 9, 2**40, 9, 0)), "a field of type 9"),
    "long name": (content(1, 0, struct.pack("<Q", 2**63)), "its header is cut"),
    "name of bytes": (content(1, 0, info(b"\xff\xfe")), "is no whole GGUF file"),
    "dimensions": (content(1, 0, info(shape=(1,) * 5)), "a tensor of 5 dimensions"),
    "no dimension": (content(1, 0, info(shape=())), "a tensor of 0 dimensions"),
    "vast": (content(1, 0, info(shape=(2**40, 2**40))), "it ends before its tensors do"),
    "nothing": (content(1, 0, info(shape=(0,))), "has no whole blocks"),
    "half a block": (content(1, 0, info(shape=(33,), kind=8)), "has no whole blocks"),
    "beyond": (content(1, 0, info(start=2**60)), "it ends before its tensors do"),
    "twice": (content(2, 0, info() * 2, data=256), "two tensors of one name"),
    "in each other": (content(2, 0, info() + info(b"b")), "its tensors lie in each other"),
    "unknown type": (content(1, 0, info(kind=16)), "has weights of ggml's type 16, which are not read here"),
    "alignment": (
        content(0, 1, text(b"general.alignment") + struct.pack("<II", 4, 0)),
        "an alignment of 0",
    ),
    "other shapes": (
        content(0, 1, text(b"comfy.gguf.orig_shape.a") + struct.pack("<IIQ", 9, 5, 0)),
        "keeps tensors in other shapes",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers_are_refused_in_one_line(
    case: str,
    tmp_path: Path,
    catalogue: Callable[..., Catalog],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, said = HOSTILE[case]
    file = tmp_path / "a.gguf"
    file.write_bytes(held)
    catalogue("flux", BASE, file=file)
    monkeypatch.setenv("EASEL_MODELS", str(tmp_path / "models.toml"))
    assert program.main(["models", "add", str(file)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    with pytest.raises(WeightsError, match="a.gguf is|a.gguf has|a.gguf keeps"):
        headers.check(file)


def test_a_cut_file_is_refused_wherever_it_was_cut(flux: Path) -> None:
    whole = flux.read_bytes()
    for share in (0.001, 0.01, 0.1, 0.5, 0.999):
        flux.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(WeightsError, match="is no whole GGUF file"):
            telling.checkpoint(flux)
    flux.write_bytes(whole)
    assert telling.checkpoint(flux).family.name == FAMILIES["flux"]


@pytest.mark.parametrize("kind", sorted(kind.name for kind in BLOCKS))
def test_blocks_of_every_kind_stand_for_the_numbers_that_their_makers_read_in_them(kind: str) -> None:
    """Any bytes are blocks; what is no number in them is none for either."""
    quantization = gguf.GGMLQuantizationType[kind]
    rows = np.random.default_rng(0).integers(0, 256, (4, 8 * gguf.GGML_QUANT_SIZES[quantization][1]), dtype=np.uint8)
    with np.errstate(all="ignore"):
        wanted = torch.from_numpy(gguf.quants.dequantize(rows, quantization))
    read = blocks.numbers(GGUFParameter(torch.from_numpy(rows), quant_type=quantization)).float()
    finite = wanted.isfinite() & read.isfinite()
    assert finite.float().mean() > 0.5
    assert (read - wanted)[finite].abs().max() <= 1e-3 * wanted[finite].abs().max()
