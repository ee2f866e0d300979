"""How busy NVIDIA's cards of this machine are, as its driver says (NVML); nothing where there is no such driver."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pynvml

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CardNow:
    """A card as it is now. What the driver does not say of it is None."""

    number: int
    """As `nvidia-smi` counts."""
    name: str
    uuid: str
    use: float | None
    """What part of the last moments it was at work, 0 to 1."""
    memory_used_bytes: int | None
    memory_bytes: int | None
    watts: float | None
    celsius: float | None
    processes: frozenset[int]
    """Those that compute on it, where the driver knows them by the numbers that they have here."""


class Graphics:
    """The cards of this machine. `look` may take a moment: not on the event loop."""

    def __init__(self) -> None:
        self._there: bool | None = None

    def look(self) -> list[CardNow]:
        """All cards as they are now; none where their driver is not there, or has gone."""
        if self._there is None:
            self._there = self._open()
        if not self._there:
            return []
        try:
            return [_now(number) for number in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            log.warning("NVIDIA's driver says nothing of the cards any more: %s", error)
            self._there = False
            return []

    def _open(self) -> bool:
        try:
            pynvml.nvmlInit()
        except (pynvml.NVMLError, OSError) as error:
            log.debug("how busy cards are is not known: %s", error)
            return False
        return True


def _now(number: int) -> CardNow:
    card = pynvml.nvmlDeviceGetHandleByIndex(number)
    use = memory = watts = celsius = None
    processes: frozenset[int] = frozenset()
    with _unless_unknown():
        use = pynvml.nvmlDeviceGetUtilizationRates(card).gpu / 100
    with _unless_unknown():
        memory = pynvml.nvmlDeviceGetMemoryInfo(card)
    with _unless_unknown():
        watts = pynvml.nvmlDeviceGetPowerUsage(card) / 1000
    with _unless_unknown():
        celsius = float(pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU))
    with _unless_unknown():
        processes = frozenset(one.pid for one in pynvml.nvmlDeviceGetComputeRunningProcesses(card))
    return CardNow(
        number=number,
        name=pynvml.nvmlDeviceGetName(card),
        uuid=pynvml.nvmlDeviceGetUUID(card),
        use=use,
        memory_used_bytes=None if memory is None else memory.used,
        memory_bytes=None if memory is None else memory.total,
        watts=watts,
        celsius=celsius,
        processes=processes,
    )


@contextlib.contextmanager
def _unless_unknown() -> Iterator[None]:
    """Go on where this card does not know that of itself."""
    with contextlib.suppress(pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
        yield
