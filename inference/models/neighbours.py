"""What of a network is computed picture by picture on a CPU, so that pictures can share a pass and keep their bits.

On a CPU a pass is not filled up, for copies cost as much as pictures. So what a picture's bits would otherwise depend
on is its number of neighbours. In the networks that take part (`ModelEntry.cpu_batch`) two kinds of operations do:
products with one row for each side of each picture, such as a step's time, for which MKL has other kernels than for
more rows, and convolutions of single pixels, which torch leaves to oneDNN where there are many pictures.
`tests/inference/test_riding.py` holds whole pictures to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import torch

FEW = 15
"""From one more on, torch has oneDNN convolve single pixels on one thread (`ConvParams::use_mkldnn`), whose sums are
others than its own."""

_pictures: ContextVar[int] = ContextVar("pictures", default=1)
_made: WeakSet[torch.nn.Module] = WeakSet()
"""Layers that are independent already."""


@contextmanager
def sharing(pictures: int) -> Iterator[None]:
    """Within, so many pictures share each run of a network that was made `independent`."""
    token = _pictures.set(pictures)
    try:
        yield
    finally:
        _pictures.reset(token)


def independent(network: torch.nn.Module) -> None:
    """Let a network on a CPU give each picture the bits that it gives it alone. Call it for each that is loaded."""
    for module in network.modules():
        if module in _made:
            continue
        if isinstance(module, torch.nn.Linear):
            vars(module)["forward"] = _by_picture(module.forward)
            _made.add(module)
        elif isinstance(module, torch.nn.Conv2d) and all(side == 1 for side in module.kernel_size):
            vars(module)["forward"] = _by_few(module.forward)
            _made.add(module)


def _by_picture(linear: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    @functools.wraps(linear)
    def apart(rows: torch.Tensor) -> torch.Tensor:
        pictures = _pictures.get()
        if pictures == 1 or rows.dim() != 2:
            return linear(rows)
        # Side by side, as diffusers has them: first all pictures' negative sides, then the others.
        sides = rows.reshape(-1, pictures, rows.shape[1])
        return torch.stack([linear(sides[:, picture]) for picture in range(pictures)], dim=1).flatten(0, 1)

    return apart


def _by_few(convolve: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    @functools.wraps(convolve)
    def apart(images: torch.Tensor) -> torch.Tensor:
        if _pictures.get() == 1 or len(images) <= FEW:
            return convolve(images)
        return torch.cat([convolve(few) for few in torch.split(images, FEW)])

    return apart


def attending_alone(network: torch.nn.Module) -> None:
    """Let a network that attends over its batch as others do over a sequence, as ControlNet-Union does, look at each
    picture's own sides alone, as where that is painted by itself; on whatever device."""
    for module in network.modules():
        if isinstance(module, torch.nn.MultiheadAttention) and not module.batch_first:
            vars(module)["forward"] = _of_each_picture(module.forward)


def _of_each_picture(attention: Callable[..., tuple[torch.Tensor, torch.Tensor | None]]) -> Callable[..., Any]:
    @functools.wraps(attention)
    def alone(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **further: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        pictures = _pictures.get()
        if pictures == 1:
            return attention(query, key, value, **further)
        # Side by side, as above.
        split = [each.reshape(-1, pictures, *each.shape[1:]).unbind(1) for each in (query, key, value)]
        made = [attention(*each, **further)[0] for each in zip(*split, strict=True)]
        return torch.stack(made, dim=1).flatten(0, 1), None

    return alone
