"""Whether what a network made are numbers at all.

NaN and infinity are no colour: as a picture they would be black, and nobody would know why.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_leaves


class Overflowed(Exception):
    """What a network made is no number."""


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all of it are numbers. Waits for the device."""
    return bool(torch.isfinite(tensor).all())


def require_finite(network: torch.nn.Module) -> None:
    """Let a network raise Overflowed where it makes what is no number, for callers that would bring it into bounds."""

    def look(_network: torch.nn.Module, _given: Any, made: Any) -> None:
        if not all(is_finite(tensor) for tensor in tree_leaves(made) if isinstance(tensor, torch.Tensor)):
            raise Overflowed

    network.register_forward_hook(look)
