"""How busy the cards are, as their driver says it, or none where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, create_autospec, patch

import pynvml
import pytest
from prometheus_client.core import Metric

from bot.engine.interface import Condition
from bot.watch import graphics
from bot.watch.graphics import Graphics
from bot.watch.standings import Standings


class Driver:
    """NVML with two cards, of which the second does not tell everything."""

    NVMLError = pynvml.NVMLError
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLError_NoPermission = pynvml.NVMLError_NoPermission
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, pids: tuple[int, int]) -> None:
        def says(name: str, *values: Any) -> None:
            def answer(card: int, *_: object) -> Any:
                if isinstance(values[card], type):
                    raise values[card]
                return values[card]

            setattr(self, name, create_autospec(getattr(pynvml, name), side_effect=answer))

        self.nvmlInit = create_autospec(pynvml.nvmlInit)
        self.nvmlDeviceGetCount = create_autospec(pynvml.nvmlDeviceGetCount, return_value=2)
        says("nvmlDeviceGetHandleByIndex", 0, 1)
        says("nvmlDeviceGetName", "NVIDIA H200", "NVIDIA T4")
        says("nvmlDeviceGetUUID", "GPU-a", "GPU-b")
        unknown = pynvml.NVMLError_NotSupported
        says("nvmlDeviceGetUtilizationRates", SimpleNamespace(gpu=83, memory=4), unknown)
        says("nvmlDeviceGetMemoryInfo", SimpleNamespace(used=5, total=9), SimpleNamespace(used=1, total=2))
        says("nvmlDeviceGetPowerUsage", 250_500, unknown)
        says("nvmlDeviceGetTemperature", 61, pynvml.NVMLError_NoPermission)
        says("nvmlDeviceGetComputeRunningProcesses", *([SimpleNamespace(pid=pid)] for pid in pids))


def standings(pid: int) -> Standings:
    """How things stand with an engine of this number."""
    condition = Condition("engine 1", pid, "T4", None, 0.0, 300.0, 1, 0.0, None)
    return Standings(Mock(), Mock(), Mock(), Mock(conditions=[condition]), Mock(), Mock(), 200)


def seen() -> list[Metric]:
    """What is shown of two cards that this machine need not have."""
    with patch.object(graphics, "pynvml", Driver((7, 8))):
        return list(standings(99)._of_cards(Graphics().look()))


def test_machine_without_a_driver_has_no_cards() -> None:
    with pytest.raises(pynvml.NVMLError):
        pynvml.nvmlInit()
    looking = Graphics()
    assert looking.look() == looking.look() == []


def test_cards_say_what_they_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "pynvml", Driver((7, 8)))
    first, second = Graphics().look()
    assert (first.name, first.use, first.memory_used_bytes, first.watts, first.celsius) == (
        "NVIDIA H200",
        0.83,
        5,
        250.5,
        61.0,
    )
    assert (second.number, second.use, second.watts, second.celsius, second.memory_bytes) == (1, None, None, None, 2)
    assert second.processes == {8}


def test_driver_that_goes_away_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver((7, 8))
    monkeypatch.setattr(graphics, "pynvml", driver)
    looking = Graphics()
    assert looking.look()
    driver.nvmlDeviceGetCount.side_effect = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
    assert looking.look() == looking.look() == []
    assert caplog.text.count("says nothing of the cards any more") == 1


@pytest.mark.parametrize(("pid", "shown"), [(8, {"1"}), (99, {"0", "1"})])
def test_cards_that_easel_does_not_use_are_left_out_where_that_can_be_told(
    monkeypatch: pytest.MonkeyPatch, pid: int, shown: set[str]
) -> None:
    monkeypatch.setattr(graphics, "pynvml", Driver((7, 8)))
    families = {family.name: family for family in standings(pid)._of_cards(Graphics().look())}
    memory = families["easel_gpu_memory_used_bytes"].samples
    assert {sample.labels["gpu"] for sample in memory} == shown
    assert {sample.labels["gpu"] for sample in families["easel_gpu_use_ratio"].samples} == shown - {"1"}
