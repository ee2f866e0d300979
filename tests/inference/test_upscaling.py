"""Real-ESRGAN: both networks, the same picture as RealESRGANer makes, and no pickle that runs code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference import catalog, device, upscaling
from inference.device import Device
from inference.errors import WeightsError
from inference.store import Store
from inference.tasks import imagine
from tests.inference.conftest import Record, ask_for

CPU = torch.device("cpu")
SRVGG = catalog.UpscalerEntry(title="A", arch="srvgg", path="a.pth", scale=4, num_feat=8, num_conv=2)
RRDB = catalog.UpscalerEntry(title="B", arch="rrdb", path="b.pth", scale=2, num_feat=8, num_block=1, num_grow_ch=4)


def network(entry: catalog.UpscalerEntry) -> torch.nn.Module:
    torch.manual_seed(0)
    if entry.arch == "srvgg":
        return upscaling.SRVGGNetCompact(num_feat=entry.num_feat, num_conv=entry.num_conv, upscale=entry.scale)
    return upscaling.RRDBNet(3, 3, entry.scale, entry.num_feat, entry.num_block, entry.num_grow_ch)


def saved(folder: Path, entry: catalog.UpscalerEntry) -> Path:
    path = folder / entry.path
    torch.save({"params": network(entry).state_dict()}, path)
    return path


def picture() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("entry", [SRVGG, RRDB], ids=["srvgg", "rrdb"])
def test_both_networks_enlarge_as_real_esrgan_does(entry: catalog.UpscalerEntry, tmp_path: Path, cpu: Device) -> None:
    path = saved(tmp_path, entry)
    ours = np.asarray(upscaling.Upscaler(entry, path, CPU, half=False).enlarge(picture()))
    assert ours.shape == (12 * entry.scale, 20 * entry.scale, 3)
    theirs = upscaling.RealESRGANer(entry.scale, str(path), model=network(entry), pre_pad=0, device=CPU)
    expected, _ = theirs.enhance(np.asarray(picture())[:, :, ::-1])
    assert np.array_equal(ours, expected[:, :, ::-1])


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, SRVGG)
    with pytest.raises(WeightsError, match="is no rrdb network as the catalogue describes it"):
        upscaling.Upscaler(RRDB, path, CPU, half=False)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {marker}",)

    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps({"params": Evil()}))
    with pytest.raises(WeightsError):
        upscaling.Upscaler(SRVGG, path, CPU, half=False)
    assert not marker.exists()


def test_a_model_with_an_upscaler_delivers_enlarged_pictures(models_toml: Path, tmp_path: Path) -> None:
    saved(tmp_path, SRVGG)
    text = models_toml.read_text().replace('path = "', f'path = "{models_toml.parent}/')
    text = text.replace('sampler = "DPM++ 2M"', 'sampler = "DPM++ 2M"\nupscaler = "x4"')
    text += '\n[upscalers.x4]\ntitle = "X"\narch = "srvgg"\npath = "a.pth"\nscale = 4\nnum_feat = 8\nnum_conv = 2\n'
    toml = tmp_path / "models.toml"
    toml.write_text(text)
    known = catalog.load(toml)
    assert known.info("sd15").upscale == 4
    store = Store(catalog=known, device=device.choose("cpu", 1))
    record, request = Record(), ask_for()
    record.begin(request)
    imagine.run([request], store, record.report)
    finished = record.finished()[1]
    assert (finished.pictures[0].width, finished.pictures[0].height) == (128, 128)
    assert finished.recipe["upscaler"]["name"] == "x4"
    assert list(store.resident()) == ["model sd15", "upscaler x4"]
