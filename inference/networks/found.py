"""Networks that are found out from their files by spandrel: run on colours as pictures have them, in a precision that
they bear, and how much memory they take.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inference.catalog import architectures
from inference.catalog.architectures import Use
from inference.catalog.fields import Dtype
from inference.errors import WeightsError
from inference.networks.tiles import Appetite

log = logging.getLogger(__name__)

SEED = 0
"""A few networks draw noise: the same for every tile, whatever was painted before."""

MEASURED = 96
"""The side of what a network's memory is measured on: several windows of those that look through windows."""

CAUTION = 2
"""Convolutions take as much again for themselves, which shows only on the device."""

GUESSED_NUMBERS = 6000
"""For each pixel, where a network cannot be measured: more than the largest that can."""


def load(file: Path, use: Use) -> Any:
    """spandrel's descriptor of the network in this file, in float32 on the CPU. Raises WeightsError as it does."""
    return architectures.build(file, architectures.state(file), use)


def dtype(descriptor: Any, asked: Dtype, wanted: torch.dtype) -> torch.dtype:
    """What the network computes in where `wanted` would be computed in: that, where the network bears it.

    Raises WeightsError where models.toml asks for it and the network does not.
    """
    bears = {
        torch.float32: True,
        torch.float16: descriptor.supports_half,
        torch.bfloat16: descriptor.supports_bfloat16,
    }
    if bears[wanted]:
        return wanted
    if asked != "auto":
        raise WeightsError(f"{descriptor.architecture.name} networks do not compute in {asked}: leave dtype out")
    return torch.float32


def on_colours(descriptor: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network as a function of three colours, 0 to 1, (1, 3, height, width), of which it makes three again.

    One of a single channel sees each colour alone, one of four sees a picture through which nothing shines.
    """

    def run(tile: torch.Tensor) -> torch.Tensor:
        with quiet_chance(tile.device):
            if descriptor.input_channels == 1:
                return torch.cat([descriptor(colour) for colour in torch.split(tile, 1, dim=1)], dim=1)
            if descriptor.input_channels == 4:
                tile = torch.cat([tile, torch.ones_like(tile[:, :1])], dim=1)
            made: torch.Tensor = descriptor(tile)
            # Anew, because the tiler changes in place what spandrel lets nobody change.
            return made[:, :3].clone()

    return run


@contextmanager
def quiet_chance(device: torch.device) -> Iterator[None]:
    """Let what draws noise within draw the same each time, and disturb nobody else's."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(SEED)
        yield


def appetite(descriptor: Any) -> Appetite:
    """What a network of any architecture takes, measured on a small picture."""
    from spandrel import ModelTiling

    return Appetite(
        scale=descriptor.scale,
        numbers_per_pixel=_measured(descriptor),
        whole=descriptor.tiling is not ModelTiling.SUPPORTED,
    )


def _measured(descriptor: Any) -> int:
    # Tensors that have a size and no numbers cost nothing, but not every network takes them.
    for device, side in (("meta", MEASURED), ("cpu", MEASURED // 2)):
        like, living = deepcopy(descriptor), _Living()
        try:
            like.model.to(device)
            pixels = torch.zeros(1, 3, side, side, device=device)
            with torch.inference_mode(), living:
                on_colours(like)(pixels)
        except Exception as error:  # whatever an architecture asks of a tensor
            log.debug("%s cannot be measured: %s", descriptor.architecture.name, error)
        else:
            return CAUTION * living.most_bytes // (pixels.element_size() * side**2)
    return GUESSED_NUMBERS


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """How many bytes of results lived at once, at most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most_bytes = self._now_bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return made

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self._now_bytes += storage.nbytes()
        self.most_bytes = max(self.most_bytes, self._now_bytes)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, freed_bytes: int) -> None:
        self._known.discard(key)
        self._now_bytes -= freed_bytes
