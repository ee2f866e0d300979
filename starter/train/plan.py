"""What every stage is told: where it runs, how large its batches are, and where its results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from starter.judge import MODELS
from starter.train.loop import BUILD


@dataclass(frozen=True, slots=True)
class Plan:
    """How the whole training runs: where, how large its batches are, where results go."""

    device: torch.device
    batch_factor: int = 1
    build: Path = BUILD
    models: Path = MODELS
    onward: bool = False
    """Whether the picture stage, where it has no checkpoint, goes on from the exported model and not from nothing."""


def averaged(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The averaged weights in a checkpoint."""
    weights: dict[str, torch.Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
    return weights
