"""The word for an engine is another one where anything is that decides what it makes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inference.catalog import fingerprint, reading, weights
from inference.device import Device
from inference.engine import readiness
from inference.marks.marking import ALL, Marks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A catalogue with weights of its own."""
    shutil.copytree(ROOT / "starter" / "models" / "picture", tmp_path / "picture")
    text = (ROOT / "models.toml").read_text().replace('"starter/models/picture"', '"picture"')
    (tmp_path / "models.toml").write_text(text.replace('"starter/models', f'"{ROOT}/starter/models'))
    return tmp_path / "models.toml"


def word(toml: Path, device: Device, marks: Marks = ALL, budget: int | None = None) -> str:
    known = reading.load(toml)
    return readiness(known, weights.inventory(known), device, marks, budget).identity


def other_weights(toml: Path) -> None:
    file = toml.parent / "picture" / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(0, 0))


def other_entry(toml: Path) -> None:
    toml.write_text(toml.read_text().replace("cpu_batch = ", "cpu_batch = 1 # ", 1))


@pytest.mark.parametrize("change", [other_weights, other_entry])
def test_other_weights_or_settings_are_another_engine(toml: Path, cpu: Device, change: Callable[[Path], None]) -> None:
    before = word(toml, cpu)
    assert len(before) == 64
    assert word(toml, cpu) == before
    change(toml)
    assert word(toml, cpu) != before


def test_marks_device_and_room_count_too(toml: Path, cpu: Device) -> None:
    words = [
        word(toml, cpu),
        word(toml, cpu, Marks(watermark=False)),
        word(toml, cpu, budget=10**9),
        word(toml, replace(cpu, name="another")),
    ]
    assert len(set(words)) == len(words)


def test_other_code_is_another_engine(toml: Path, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "code"
    code.mkdir()
    monkeypatch.setattr(fingerprint, "CODE", code)
    (code / "a.py").write_text("1")
    before = word(toml, cpu)
    (code / "a.py").write_text("2")
    assert word(toml, cpu) != before
