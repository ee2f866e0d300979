"""What keeps a picture's bits on a CPU whatever computes beside it: threads (`threads`) and pictures (`neighbours`)."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from inference.device import Device
from inference.models import neighbours, threads


def steady(networks: Iterable[torch.nn.Module], device: Device) -> None:
    """Let no bit of these networks depend on either. Call it once they are loaded, and again where parts are new."""
    if not device.is_cuda:
        for network in networks:
            threads.steady(network)
            neighbours.independent(network)
