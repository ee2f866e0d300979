"""What of a network is computed on one thread of a CPU, so that its last bits do not depend on how many there are.

Two kinds of operations do (torch 2.15, oneDNN 3.13, MKL 2024.2; every other that the starter models use gave the same
bits on one to eight threads): convolutions of single pixels, whose sums oneDNN adds up in another order on one thread
than on several, and functions of single numbers, which are vectors from where each thread begins and whose rest, which
fills none, is rounded otherwise. `tests/inference/test_threads.py` holds whole pictures to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch.nn.modules.conv import _ConvNd

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

ACTIVATIONS = frozenset({"torch.nn.modules.activation", "transformers.activations"})
"""The modules of the libraries that hold functions of single numbers."""


def steady(network: torch.nn.Module) -> None:
    """Let a network on a CPU give the bits that it gives on one thread. Call it for each that is loaded.

    With one thread there is nothing to do. Call it again where parts of it are new.
    """
    if torch.get_num_threads() == 1:
        return
    for module in network.modules():
        # Of diffusers' own some are a function after a product: that one is left to all threads.
        name = "gelu" if hasattr(module, "gelu") else "forward"
        if name not in vars(module) and (name == "gelu" or _depends_on_threads(module)):
            setattr(module, name, _on_one_thread(getattr(module, name)))


def _depends_on_threads(module: torch.nn.Module) -> bool:
    if isinstance(module, _ConvNd):
        return all(side == 1 for side in module.kernel_size)
    return type(module).__module__ in ACTIVATIONS and not any(True for _ in module.parameters())


def _on_one_thread(work: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    @functools.wraps(work)
    def alone(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return work(*args, **kwargs)
        finally:
            torch.set_num_threads(threads)

    return alone
