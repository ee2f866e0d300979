"""The EASEL_ variables of the inference process."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference import settings
from inference.errors import SettingsError


def test_an_empty_environment_gives_the_defaults() -> None:
    read = settings.read({})
    assert (read.models, read.device, read.vram_budget_bytes, read.threads) == (Path("models.toml"), "auto", None, None)
    assert (read.watermark, read.host_cache_bytes) == (True, None)
    assert settings.read({"EASEL_HOST_CACHE_GB": "0"}).host_cache_bytes == 0


def test_everything_can_be_set() -> None:
    read = settings.read(
        {
            "EASEL_MODELS": "/m.toml",
            "EASEL_DEVICE": "cuda:1",
            "EASEL_VRAM_BUDGET_GB": "7.5",
            "EASEL_HOST_CACHE_GB": "16",
            "EASEL_THREADS": "4",
            "EASEL_LOG_LEVEL": "debug",
            "EASEL_WATERMARK": "OFF",
        }
    )
    assert (read.models, read.device, read.threads, read.log_level) == (Path("/m.toml"), "cuda:1", 4, "DEBUG")
    assert (read.vram_budget_bytes, read.host_cache_bytes) == (7_500_000_000, 16_000_000_000)
    assert read.watermark is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EASEL_DEVICE", "gpu"),
        ("EASEL_DEVICE", "cuda:x"),
        ("EASEL_VRAM_BUDGET_GB", "much"),
        ("EASEL_VRAM_BUDGET_GB", "-1"),
        ("EASEL_VRAM_BUDGET_GB", "nan"),
        ("EASEL_VRAM_BUDGET_GB", "0"),
        ("EASEL_HOST_CACHE_GB", "-1"),
        ("EASEL_HOST_CACHE_GB", "all"),
        ("EASEL_THREADS", "0"),
        ("EASEL_THREADS", "1.5"),
        ("EASEL_LOG_LEVEL", "LOUD"),
        ("EASEL_WATERMARK", "faint"),
    ],
)
def test_a_meaningless_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.read({name: value})
