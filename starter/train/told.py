"""Labels that not every picture has: what is untold costs nothing, and is neither right nor wrong."""

from __future__ import annotations

import torch
from torch.nn import functional as F

UNTOLD = -100


def cost(logits: torch.Tensor, wanted: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy of (n, kinds) against (n,): the mean over what is told, nothing where nothing is. With `counts`,
    (n,), some count more than others."""
    told = (wanted != UNTOLD).float() if counts is None else (wanted != UNTOLD) * counts
    lost = F.cross_entropy(logits, wanted, ignore_index=UNTOLD, reduction="none")
    return (lost * told).sum() / told.sum().clamp(min=1e-3)


def right(logits: torch.Tensor, wanted: torch.Tensor) -> float:
    """The share of what is told that is named, of (..., kinds) against (...); all of nothing is right."""
    told = wanted != UNTOLD
    return float((logits.argmax(-1) == wanted)[told].float().mean()) if bool(told.any()) else 1.0
