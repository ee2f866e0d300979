"""Upscalers that say nothing of themselves: spandrel's own classes at small sizes, from their files alone."""

from __future__ import annotations

import importlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from spandrel import MAIN_REGISTRY, ImageModelDescriptor

from inference import engine
from inference.catalog import architectures, reading, weights
from inference.catalog.entries import UpscalerEntry
from inference.device import Device
from inference.errors import CatalogError, NotFinite, WeightsError
from inference.models.store import Store
from inference.networks import found
from inference.networks.upscaler import Upscaler
from inference.protocol import Finished, Upscale
from inference.silence import silenced
from inference.tasks import upscale
from tests.inference import tiny
from tests.inference.conftest import Record, uploaded
from tests.inference.folders import bytes_of

CPU = torch.device("cpu")

WINDOWS = {"embed_dim": 12, "num_heads": [2]}
MADE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "esrgan": ("ESRGAN", "ESRGAN", {"num_filters": 8, "num_blocks": 1, "scale": 4}),
    "compact": ("Compact", "Compact", {"num_feat": 8, "num_conv": 2, "upscale": 2}),
    "span": ("SPAN", "SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 4}),
    "realplksr": ("PLKSR", "RealPLKSR", {"dim": 8, "n_blocks": 2, "upscaling_factor": 3}),
    "dat": (
        "DAT",
        "DAT",
        {
            "embed_dim": 16,
            "num_heads": [2],
            "upscale": 4,
            "split_size": [8, 8],
            "depth": [1],
            "expansion_factor": 2.0,
            "resi_connection": "1conv",
            "upsampler": "pixelshuffledirect",
        },
    ),
    "swinir": (
        "SwinIR",
        "SwinIR",
        {
            **WINDOWS,
            "upscale": 2,
            "img_size": 16,
            "window_size": 8,
            "depths": [1],
            "mlp_ratio": 2,
            "upsampler": "pixelshuffledirect",
        },
    ),
    "grey": ("Compact", "Compact", {"num_in_ch": 1, "num_out_ch": 1, "num_feat": 8, "num_conv": 1, "upscale": 2}),
    "alpha": ("Compact", "Compact", {"num_in_ch": 4, "num_out_ch": 4, "num_feat": 8, "num_conv": 1, "upscale": 2}),
    "denoiser": ("SCUNet", "SCUNet", {"in_nc": 3, "config": [1] * 7, "dim": 64}),
}
"""Room and class in spandrel, and sizes. Their windows and minima are those of the published ones."""

SCALES = {
    **{"esrgan": 4, "compact": 2, "span": 4, "realplksr": 3, "dat": 4, "swinir": 2},
    **{"grey": 2, "alpha": 2, "denoiser": 1},
}


def make(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    room, kind, sizes = MADE[name]
    with silenced():
        network = getattr(importlib.import_module(f"spandrel.architectures.{room}"), kind)(**sizes)
    tensors: dict[str, torch.Tensor] = network.state_dict()
    return tensors


def bare(tensors: dict[str, torch.Tensor]) -> Any:
    """What spandrel itself makes of them."""
    with silenced():
        return MAIN_REGISTRY.load(tensors)


WRITERS: dict[str, tuple[str, Callable[[dict[str, torch.Tensor], Path], None]]] = {
    # As people have them: bare, wrapped as BasicSR and as others train, and as safetensors.
    "esrgan": (".pth", lambda tensors, file: torch.save(tensors, file)),
    "compact": (".safetensors", safetensors.torch.save_file),
    "span": (".pth", lambda tensors, file: torch.save({"params": tensors, "iter": 9}, file)),
    "realplksr": (".safetensors", safetensors.torch.save_file),
    "dat": (".pth", lambda tensors, file: torch.save({"params_ema": tensors}, file)),
    "swinir": (".pt", lambda tensors, file: torch.save({"params": tensors}, file)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each, and a catalogue that says no more of them than where they lie."""
    folder = tmp_path_factory.mktemp("found")
    lines = []
    for name in MADE:
        suffix, write = WRITERS.get(name, (".pth", torch.save))
        write(make(name), folder / f"{name}{suffix}")
        lines += [f"[upscalers.{name}]", f'title = "Tiny {name}"', f'path = "{name}{suffix}"']
    model = tiny.CATALOG[: tiny.CATALOG.index("[models.sd21]")]
    (folder / "models.toml").write_text("\n".join([model, *lines]))
    return folder


@pytest.fixture(scope="module")
def known(folder: Path) -> reading.Catalog:
    return reading.load(folder / "models.toml")


@pytest.fixture(scope="module")
def own_store(known: reading.Catalog, cpu: Device) -> Store:
    return Store(catalog=known, device=cpu)


def entry_of(file: str, **says: Any) -> UpscalerEntry:
    return UpscalerEntry(title="A", path=file, **says)


def enlarged(store: Store, name: str, picture: Image.Image, factor: int) -> tuple[np.ndarray, Finished]:
    """What the task makes of a picture."""
    image, files = uploaded(picture)
    record, request = Record(), Upscale(job=1, model=name, image=image, factor=factor)
    record.begin(request)
    upscale.run([request], files, store, record.report)
    finished = record.finished()[1]
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0])))), finished


def theirs(name: str, picture: Image.Image) -> np.ndarray:
    """What spandrel makes of all of a picture."""
    descriptor: Any = bare(make(name))
    pixels = torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).permute(2, 0, 1)[None]
    made = descriptor(pixels)[0].permute(1, 2, 0).numpy()
    return np.asarray((made * 255.0).round().astype(np.uint8))


@pytest.mark.parametrize("name", [*WRITERS, "denoiser"])
def test_the_engine_enlarges_as_spandrel_does_from_the_file_alone(own_store: Store, name: str) -> None:
    picture, scale = tiny.picture(44, 40), SCALES[name]
    pixels, finished = enlarged(own_store, name, picture, max(2, scale))
    assert finished.recipe["model"]["scale"] == scale
    assert "spandrel" in finished.recipe["versions"]
    if scale > 1:
        assert np.array_equal(pixels, theirs(name, picture))
    assert pixels.shape == (40 * max(2, scale), 44 * max(2, scale), 3)


@pytest.mark.parametrize("name", ["dat", "swinir", "denoiser"])
def test_pictures_smaller_than_a_network_bears_and_of_odd_sizes_come_back_whole(own_store: Store, name: str) -> None:
    for size in ((9, 11), (21, 13)):
        pixels, _ = enlarged(own_store, name, tiny.picture(*size, mode="RGBA"), 2)
        assert pixels.shape == (size[1] * 2, size[0] * 2, 4)


def test_tiles_join_without_a_seam(folder: Path, known: reading.Catalog) -> None:
    upscaler = Upscaler(known.upscalers["esrgan"], [folder / "esrgan.pth"], CPU, torch.float32)
    picture = tiny.picture(150, 90)
    whole, tiled = (np.asarray(upscaler.enlarge(picture, tile=tile)).astype(int) for tile in (0, 64))
    assert np.abs(whole - tiled).max() <= 3


def test_what_is_better_not_cut_up_is_not(own_store: Store) -> None:
    picture = tiny.picture(300, 20)
    assert enlarged(own_store, "swinir", picture, 2)[1].recipe["tile"] == 0
    assert enlarged(own_store, "compact", picture, 2)[1].recipe["tile"] == upscale.LARGEST_ON_CPU


def test_a_network_of_one_channel_sees_each_colour_alone(own_store: Store) -> None:
    picture = tiny.picture(24, 20)
    pixels, _ = enlarged(own_store, "grey", picture, 2)
    for number, colour in enumerate(picture.split()):
        descriptor: Any = bare(make("grey"))
        alone = torch.from_numpy(np.asarray(colour).astype(np.float32) / 255)[None, None]
        expected = (descriptor(alone)[0, 0].numpy() * 255.0).round().astype(np.uint8)
        assert np.array_equal(pixels[:, :, number], expected)


def test_a_network_of_four_channels_sees_an_opaque_picture(own_store: Store) -> None:
    picture = tiny.picture(24, 20)
    pixels, _ = enlarged(own_store, "alpha", picture, 2)
    opaque = picture.convert("RGBA")
    assert np.array_equal(pixels, theirs("alpha", opaque)[:, :, :3])


def test_ready_says_how_many_times_each_enlarges(known: reading.Catalog, cpu: Device) -> None:
    here = {**weights.inventory(known), "model": ("sd15",)}
    said = {tool.name: tool.scale for tool in engine.readiness(known, here, cpu).upscalers}
    assert said == SCALES


def test_a_models_own_upscaler_need_not_be_described(folder: Path, cpu: Device) -> None:
    text = (
        (folder / "models.toml").read_text().replace('sampler = "DPM++ 2M"', 'sampler = "DPM++ 2M"\nupscaler = "span"')
    )
    file = folder / "with.toml"
    file.write_text(text)
    assert reading.load(file).info("sd15", on_gpu=False).upscale == 4


def test_two_of_one_kind_are_mixed_and_two_kinds_are_refused(folder: Path, tmp_path: Path) -> None:
    grain = folder / "swinir-grain.pth"
    torch.save(make("swinir", seed=5), grain)
    entry = entry_of("swinir.pt", grain=entry_of("swinir-grain.pth"))
    mixed = Upscaler(entry, [folder / "swinir.pt", grain], CPU, torch.float32)
    picture = tiny.picture(24, 24)
    plain, half, none = (np.asarray(mixed.enlarge(picture, denoise=share)) for share in (1.0, 0.5, 0.0))
    assert np.array_equal(plain, theirs("swinir", picture))
    own, other = make("swinir"), make("swinir", seed=5)
    descriptor: Any = bare(own)
    descriptor.model.load_state_dict(
        {name: 0.5 * own[name] + 0.5 * other[name] if own[name].is_floating_point() else own[name] for name in own}
    )
    pixels = torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).permute(2, 0, 1)[None]
    expected = (descriptor(pixels)[0].permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
    assert np.array_equal(half, expected)
    assert not np.array_equal(none, half)
    with pytest.raises(WeightsError, match="is no one network as the catalogue describes it"):
        Upscaler(entry, [folder / "swinir.pt", folder / "dat.pth"], CPU, torch.float32)
    text = (folder / "models.toml").read_text().replace('"swinir.pt"', '"swinir.pt"\ngrain = { path = "dat.pth" }')
    (folder / "mixed.toml").write_text(text)
    reason = weights.defects(reading.load(folder / "mixed.toml"))["upscaler", "swinir"]
    assert "two kinds of networks" in reason


def test_half_precision_is_for_those_that_bear_it(folder: Path, known: reading.Catalog) -> None:
    def dtype(name: str, wanted: torch.dtype, asked: Any = "auto") -> torch.dtype:
        entry = msgspec.structs.replace(known.upscalers[name], dtype=asked)
        return Upscaler(entry, [folder / entry.place], CPU, wanted).dtype

    assert dtype("esrgan", torch.float16) == torch.float16
    assert dtype("dat", torch.float16) == torch.float32
    assert dtype("dat", torch.bfloat16, "bfloat16") == torch.bfloat16
    with pytest.raises(WeightsError, match="DAT networks do not compute in float16: leave dtype out"):
        dtype("dat", torch.float16, "float16")


def test_what_overflows_in_half_precision_is_made_again_and_what_is_no_number_is_no_picture(
    folder: Path, known: reading.Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = Upscaler(known.upscalers["compact"], [folder / "compact.safetensors"], CPU, torch.float16)
    picture, forward = tiny.picture(20, 16), upscaler.network.forward

    def overflowing(tile: torch.Tensor) -> Any:
        return forward(tile) if tile.dtype == torch.float32 else forward(tile) * 1e9

    monkeypatch.setattr(upscaler.network, "forward", overflowing)
    made = np.asarray(upscaler.enlarge(picture)).astype(int)
    assert np.abs(made - theirs("compact", picture)).max() <= 2, "as far as rounded weights go, and not white"
    monkeypatch.setattr(upscaler.network, "forward", lambda tile: forward(tile) / 0)
    with pytest.raises(NotFinite):
        upscaler.enlarge(picture)


def test_noise_that_a_network_draws_is_the_same_each_time_and_disturbs_nobody() -> None:
    drawing: Any = bare(make("compact"))
    drawing = ImageModelDescriptor(
        drawing.model,
        make("compact"),
        drawing.architecture,
        "SR",
        [],
        True,
        True,
        2,
        3,
        3,
        call_fn=lambda model, tile: model(tile) + torch.rand(1),
    )
    run, tile = found.on_colours(drawing), torch.rand(1, 3, 16, 16)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = run(tile)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    assert torch.equal(first, run(tile))


def test_memory_is_measured_and_grows_with_the_network() -> None:
    small, large = (
        found.appetite(
            MAIN_REGISTRY.load(
                importlib.import_module("spandrel.architectures.ESRGAN")
                .ESRGAN(num_filters=width, num_blocks=1)
                .state_dict()
            )
        )
        for width in (8, 64)
    )
    # Behind the last enlargement, input and output of a convolution and its own workspace: 16 pixels for each.
    assert 64 * 16 * 2 <= large.numbers_per_pixel <= 64 * 16 * 6
    assert small.numbers_per_pixel < large.numbers_per_pixel / 4


def inpainting() -> dict[str, torch.Tensor]:
    """LaMa's tensors at their size, a byte each: what it is shows without numbers."""
    with torch.device("meta"):
        network = importlib.import_module("spandrel.architectures.LaMa").LaMa()
    return {name: torch.zeros(tensor.shape, dtype=torch.int8) for name, tensor in network.state_dict().items()}


def swollen() -> dict[str, torch.Tensor]:
    """A few bytes that say they are a network of terabytes."""
    tensors = make("compact")
    tensors["body.0.weight"] = torch.zeros(1).expand(10**9, 3, 3, 3)
    return tensors


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (inpainting, r"fills holes in pictures \(LaMa\) and enlarges none"),
        (lambda: {"conv.weight": torch.zeros(8, 3, 3, 3)}, "is no network that enlarges or restores pictures"),
        (lambda: {**make("compact"), "body.2.weight": torch.zeros(9, 8, 3, 3)}, "does not load as a network: .*size"),
        (swollen, "its tensors would be far larger than the file"),
        (lambda: [torch.zeros(3)], "holds more than tensors, or is broken"),
        (dict, "is no network that enlarges or restores pictures"),
    ],
    ids=["inpainting", "unknown", "damaged", "swollen", "list", "empty"],
)
def test_what_is_no_upscaler_is_told_as_what_it_is(tmp_path: Path, tensors: Callable[[], Any], reason: str) -> None:
    file = tmp_path / "a.pth"
    torch.save(tensors(), file)
    with pytest.raises(WeightsError, match=reason) as refused:
        architectures.nature(file, "upscaler")
    assert "\n" not in str(refused.value)
    with pytest.raises(WeightsError, match=reason):
        Upscaler(entry_of("a.pth"), [file], CPU, torch.float32)


def test_a_restorer_of_faces_is_told_its_table(tmp_path: Path) -> None:
    tiny.write_restorer(tmp_path / "a.pth")
    reason = r"restores faces \(RestoreFormer\) and enlarges none: give it a \[restorers.NAME\] table"
    with pytest.raises(WeightsError, match=reason):
        architectures.nature(tmp_path / "a.pth", "upscaler")


def test_a_classifier_a_cut_file_and_files_of_other_kinds_are_refused(
    models_toml: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="is no network that enlarges or restores pictures"):
        architectures.nature(models_toml.parent / "clip" / "model.safetensors", "upscaler")
    cut = tmp_path / "cut.pth"
    cut.write_bytes((folder / "esrgan.pth").read_bytes()[:-5000])
    with pytest.raises(WeightsError):
        architectures.nature(cut, "upscaler")
    other = tmp_path / "a.onnx"
    other.write_bytes((folder / "esrgan.pth").read_bytes())
    with pytest.raises(WeightsError, match=r"is none of .*\.safetensors: other files are not read"):
        architectures.nature(other, "upscaler")
    with pytest.raises(WeightsError, match=r"restores no faces \(ESRGAN\): give it an \[upscalers.NAME\] table"):
        architectures.nature(folder / "esrgan.pth", "restorer")


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, suffix: str) -> None:
    file, marker = tmp_path / f"a{suffix}", tmp_path / "ran"
    file.write_bytes(pickle.dumps({"params": Evil(marker)}, protocol=2))
    with pytest.raises(WeightsError, match="holds more than tensors"):
        architectures.nature(file, "upscaler")
    torch.save({"params": {**make("compact"), "more": Evil(marker)}}, file)
    with pytest.raises(WeightsError, match="holds more than tensors"):
        architectures.nature(file, "upscaler")
    with silenced():
        torch.jit.save(torch.jit.script(torch.nn.Conv2d(3, 3, 1)), file)
    with pytest.raises(WeightsError, match="holds more than tensors"):
        architectures.nature(file, "upscaler")
    assert not marker.exists()


def test_a_wrong_scale_and_sizes_without_arch_are_told(folder: Path) -> None:
    text = (folder / "models.toml").read_text()
    file = folder / "says.toml"
    file.write_text(text.replace('"esrgan.pth"', '"esrgan.pth"\nscale = 2'))
    reason = weights.defects(reading.load(file))["upscaler", "esrgan"]
    assert reason.endswith("esrgan.pth enlarges 4 times, not 2 as models.toml says: leave scale out")
    file.write_text(text.replace('"esrgan.pth"', '"esrgan.pth"\nscale = 4'))
    assert not [of for of in weights.defects(reading.load(file)) if of[0] == "upscaler"]
    file.write_text(text.replace('"esrgan.pth"', '"esrgan.pth"\nnum_feat = 8'))
    with pytest.raises(CatalogError, match="upscalers.esrgan: num_feat: goes with arch alone"):
        reading.load(file)
    file.write_text(text.replace('"esrgan.pth"', '"esrgan.pth"\narch = "rrdb"'))
    with pytest.raises(CatalogError, match="upscalers.esrgan: scale: an entry that names an arch says"):
        reading.load(file)
