"""Whether what a network made are numbers at all, and which weights are to blame where they are not.

NaN and infinity are no colour: as a picture they would be black, and nobody would know why.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open

from inference.adapters import Adapter

ADVICE = "Try another sampler, less guidance, or another model."
"""For the member whose picture came to nothing: what makes numbers grow beyond all bounds, most often."""


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all of it are numbers. Waits for the device."""
    return bool(torch.isfinite(tensor).all())


def broken(adapters: Iterable[Adapter]) -> list[str]:
    """The names of those LoRAs whose files hold what is no number."""
    return [adapter.name for adapter in adapters if _is_broken(adapter.file)]


def _is_broken(file: Path) -> bool:
    with safe_open(file, framework="pt") as tensors:
        # One in 8 bits cannot be asked itself.
        return not all(is_finite(tensors.get_tensor(name).float()) for name in tensors.keys())  # noqa: SIM118
