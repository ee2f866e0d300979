"""Whether what a network made are numbers at all.

NaN and infinity are no colour: as a picture they would be black, and nobody would know why.
"""

from __future__ import annotations

import torch


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all of it are numbers. Waits for the device."""
    return bool(torch.isfinite(tensor).all())
