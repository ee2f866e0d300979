"""Real-ESRGAN: both networks, the same pictures as RealESRGANer makes, and no pickle that runs code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference import device
from inference.catalog import reading
from inference.catalog.entries import UpscalerEntry
from inference.catalog.reading import Catalog
from inference.errors import WeightsError
from inference.models.store import Store
from inference.networks import tiles
from inference.networks.upscaler import NetworkFailed, RealESRGANer, TileTooLarge, Upscaler
from inference.tasks import imagine
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for

CPU = torch.device("cpu")


@pytest.fixture(params=["x4", "x2"], ids=["srvgg", "rrdb"])
def entry(request: pytest.FixtureRequest, known: Catalog) -> UpscalerEntry:
    return known.upscalers[request.param]


def ours(entry: UpscalerEntry, folder: Path) -> Upscaler:
    return Upscaler(entry, [folder / file.place for file in entry.files], CPU, torch.float32)


def theirs(entry: UpscalerEntry, folder: Path, picture: Image.Image, factor: int, tile: int = 0) -> np.ndarray:
    """What RealESRGANer itself makes of a picture."""
    path = str(folder / str(entry.path))
    bare = RealESRGANer(
        entry.scale, path, model=tiny.network(entry), tile=tile, tile_pad=tiles.PADDING, pre_pad=0, device=CPU
    )
    order = [2, 1, 0, 3][: len(picture.mode)]
    enlarged, _ = bare.enhance(np.asarray(picture)[:, :, order], outscale=factor)
    return np.asarray(enlarged)[:, :, order]


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(20, 12), (21, 13)], ids=["even", "odd"])
def test_both_networks_enlarge_as_real_esrgan_does(
    entry: UpscalerEntry, models_toml: Path, factor: int, mode: str, size: tuple[int, int]
) -> None:
    picture = tiny.picture(*size, mode=mode)
    enlarged = ours(entry, models_toml.parent).enlarge(picture, factor)
    assert enlarged.mode == mode
    assert enlarged.size == (size[0] * factor, size[1] * factor)
    assert np.array_equal(np.asarray(enlarged), theirs(entry, models_toml.parent, picture, factor))


def test_tiles_are_those_of_real_esrgan(entry: UpscalerEntry, models_toml: Path) -> None:
    picture = tiny.picture(150, 90)
    tiled = ours(entry, models_toml.parent).enlarge(picture, 4, tile=64)
    assert np.array_equal(np.asarray(tiled), theirs(entry, models_toml.parent, picture, 4, tile=64))


def test_tiled_and_untiled_differ_by_one_at_most_away_from_seams(entry: UpscalerEntry, models_toml: Path) -> None:
    upscaler, picture = ours(entry, models_toml.parent), tiny.picture(150, 90)
    whole, tiled = (np.asarray(upscaler.enlarge(picture, tile=tile)).astype(int) for tile in (0, 64))
    away = np.ones(picture.size[::-1], dtype=bool)
    for seam in (64, 128):
        away[:, seam - 8 : seam + 8] = False
        away[seam - 8 : seam + 8, :] = False
    away = away.repeat(entry.scale, axis=0).repeat(entry.scale, axis=1)
    assert np.abs(whole - tiled)[away].max() <= 1
    assert np.abs(whole - tiled).max() <= 3, "and even there nobody sees any"


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize(("size", "tile"), [((150, 91), 64), ((129, 128), 64), ((64, 64), 64), ((150, 90), 0)])
def test_passes_are_counted_as_they_are_run(
    entry: UpscalerEntry, models_toml: Path, size: tuple[int, int], tile: int, transparent: bool
) -> None:
    passes: list[int] = []
    picture = tiny.picture(*size, mode="RGBA" if transparent else "RGB")
    ours(entry, models_toml.parent).enlarge(picture, tile=tile, before_tile=lambda: passes.append(1))
    assert len(passes) == tiles.count(int(entry.scale or 0), *size, tile, transparent)


def test_denoise_mixes_the_two_networks_and_leaves_no_trace(known: Catalog, models_toml: Path) -> None:
    entry, picture = known.upscalers["x4"], tiny.picture()
    files = [models_toml.parent / file.place for file in entry.files]
    upscaler = ours(entry, models_toml.parent)
    plain = np.asarray(upscaler.enlarge(picture))
    assert np.array_equal(plain, np.asarray(upscaler.enlarge(picture, denoise=1.0)))
    own, grain = (torch.load(file)["params"] for file in files)
    for share in (0.0, 0.3):
        mixed = tiny.network(entry)
        mixed.load_state_dict({name: share * own[name] + (1 - share) * grain[name] for name in own})
        bare = RealESRGANer(4, [str(file) for file in files], [share, 1 - share], model=mixed, pre_pad=0, device=CPU)
        expected, _ = bare.enhance(np.asarray(picture)[:, :, ::-1])
        made = np.asarray(upscaler.enlarge(picture, denoise=share))
        assert np.array_equal(made, expected[:, :, ::-1])
        assert not np.array_equal(made, plain)
    assert np.array_equal(plain, np.asarray(upscaler.enlarge(picture)))


def test_what_ends_the_work_between_tiles_comes_through(known: Catalog, models_toml: Path) -> None:
    class Enough(Exception):
        pass

    passes: list[int] = []

    def stop_at_the_third() -> None:
        if len(passes) == 2:
            raise Enough
        passes.append(1)

    upscaler, picture = ours(known.upscalers["x4"], models_toml.parent), tiny.picture(150, 90)
    with pytest.raises(Enough):
        upscaler.enlarge(picture, tile=64, before_tile=stop_at_the_third)
    assert upscaler.enlarge(picture, tile=64).size == (600, 360)


def test_a_full_memory_and_a_broken_network_are_told_apart(
    known: Catalog, models_toml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    upscaler, picture = ours(known.upscalers["x4"], models_toml.parent), tiny.picture(150, 90)

    def failing(error: RuntimeError) -> None:
        def forward(_: torch.Tensor) -> None:
            raise error

        monkeypatch.setattr(upscaler.network, "forward", forward)

    for tile in (0, 64):
        failing(torch.OutOfMemoryError("CUDA out of memory"))
        with pytest.raises(TileTooLarge):
            upscaler.enlarge(picture, tile=tile)
        failing(RuntimeError("shapes do not match"))
        with pytest.raises(NetworkFailed, match="shapes do not match"):
            upscaler.enlarge(picture, tile=tile)
    assert capsys.readouterr().out == ""


def test_a_file_of_another_network_is_refused(known: Catalog, models_toml: Path) -> None:
    with pytest.raises(WeightsError, match="is no rrdb network as the catalogue describes it"):
        Upscaler(known.upscalers["x2"], [models_toml.parent / "x4.pth"], CPU, torch.float32)
    with pytest.raises(WeightsError, match="with .*x2.pth is no srvgg network"):
        Upscaler(
            known.upscalers["x4"], [models_toml.parent / name for name in ("x4.pth", "x2.pth")], CPU, torch.float32
        )


def test_a_pickle_that_would_run_code_is_refused(known: Catalog, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {marker}",)

    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps({"params": Evil()}))
    with pytest.raises(WeightsError):
        Upscaler(known.upscalers["x2"], [path], CPU, torch.float32)
    with pytest.raises(WeightsError):
        Upscaler(known.upscalers["x4"], [path, path], CPU, torch.float32)
    assert not marker.exists()


def test_a_model_with_an_upscaler_delivers_enlarged_pictures(models_toml: Path, tmp_path: Path) -> None:
    text = models_toml.read_text().replace('path = "', f'path = "{models_toml.parent}/')
    toml = tmp_path / "models.toml"
    toml.write_text(text.replace('sampler = "DPM++ 2M"', 'sampler = "DPM++ 2M"\nupscaler = "x4"'))
    known = reading.load(toml)
    assert known.info("sd15", on_gpu=False).upscale == 4
    store = Store(catalog=known, device=device.choose("cpu", 1))
    record, request = Record(), ask_for()
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    finished = record.finished()[1]
    assert (finished.pictures[0].width, finished.pictures[0].height) == (128, 128)
    assert finished.recipe["upscaler"]["name"] == "x4"
    assert list(store.resident()) == ["model sd15", "upscaler x4"]
