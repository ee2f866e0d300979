"""What add-ons change in the layers of one pipeline, at work: beside each layer, or in its weights.

Beside it, a layer is computed as ever and the difference is added to what comes out: the weights are never touched,
which any form of them bears. In the weights, the difference is put there once and steps cost nothing more. That is
done where code was compiled for a pipeline: neither layers nor hooks come or go, so it stays valid whatever works.
Weights that were changed come back from copies, never by subtraction, so the base keeps its bits.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from inference.models.lycoris import Part

PLAIN = (torch.Tensor, torch.nn.Parameter)
"""Of these types are weights that hold their numbers as they are, and not in fewer bits in a library's own form."""

Wanted = tuple[Part, float]
"""What a file adds to one layer, and how strongly."""


class Differences:
    """Those of one pipeline; at first none."""

    def __init__(self, pipeline: Any, merges: bool) -> None:
        """`merges` puts them into weights wherever those bear it."""
        self._pipeline = pipeline
        self._merges = merges
        self._beside: list[Part] = []
        self._hooks: list[Any] = []
        self._originals: dict[torch.Tensor, torch.Tensor] = {}
        """What was in each tensor that holds something else now, in the machine's memory."""

    @property
    def device_bytes(self) -> int:
        """What those at work take of the device's memory beside the layers."""
        return sum(tensor.nbytes for part in self._beside for tensor in part.tensors.values())

    def work(self, wanted: Sequence[Wanted]) -> None:
        """Have exactly these work; with none the layers are the base's, bit for bit. Where it raises they are too."""
        before = self._rest()
        merged = [each for each in wanted if self._merges and _merges(each[0])]
        try:
            self._put_in(merged, before)
            for part, weight in wanted:
                if not (self._merges and _merges(part)):
                    self._put_beside(part, weight)
        except BaseException:
            self._rest()
            raise

    def _rest(self) -> Mapping[torch.Tensor, torch.Tensor]:
        """Have none of them work; what was in the tensors that were changed."""
        for hook in self._hooks:
            hook.remove()
        if self._hooks:
            _compile_anew(self._pipeline)
        self._hooks, self._beside = [], []
        before, self._originals = self._originals, {}
        for tensor, original in before.items():
            _fill(tensor, original)
        return before

    def _put_beside(self, part: Part, weight: float) -> None:
        here = part.to(self._pipeline._execution_device)
        self._beside.append(here)
        hook = functools.partial(_add, here, weight)
        self._hooks.append(part.layer.register_forward_hook(hook, with_kwargs=True))
        if len(self._hooks) == 1:
            _compile_anew(self._pipeline)

    @torch.no_grad()
    def _put_in(self, wanted: Sequence[Wanted], copies: Mapping[torch.Tensor, torch.Tensor]) -> None:
        """Put these into the weights of their layers; what was in some of those is at hand as `copies`."""
        device = self._pipeline._execution_device
        of_layers: dict[torch.nn.Module, list[Wanted]] = {}
        for each in wanted:
            of_layers.setdefault(each[0].layer, []).append(each)
        for layer, together in of_layers.items():
            # All of a layer's before any of them is in it: what some add depends on the weights.
            made = [part.to(device).difference(weight, device) for part, weight in together]
            for name, differences in (("weight", [delta for delta, _ in made]), ("bias", [shift for _, shift in made])):
                given = [each for each in differences if each is not None]
                if given:
                    self._change(getattr(layer, name), given, copies, device)

    def _change(
        self,
        tensor: torch.Tensor,
        differences: Sequence[torch.Tensor],
        copies: Mapping[torch.Tensor, torch.Tensor],
        device: torch.device,
    ) -> None:
        original = copies.get(tensor)
        self._originals[tensor] = _copied(tensor) if original is None else original
        # Summed up in full and rounded once, on one device wherever the weights wait.
        whole = tensor.to(device=device, dtype=torch.float32)
        for difference in differences:
            whole = whole + difference
        _fill(tensor, whole)


def _merges(part: Part) -> bool:
    """Whether a layer's weights, and its bias where that is meant, hold numbers that can be changed."""
    tensors: list[Any] = [part.layer.weight, *([part.layer.bias] if part.shifts else [])]
    return all(type(tensor) in PLAIN and tensor.is_floating_point() for tensor in tensors)


def are_plain(network: torch.nn.Module) -> bool:
    """Whether all weights of a network hold their numbers as they are."""
    return all(type(parameter) in PLAIN for parameter in network.parameters())


@torch.no_grad()
def _fill(tensor: torch.Tensor, numbers: torch.Tensor) -> None:
    """Put numbers into a tensor that stays the same one, in its own type."""
    tensor.copy_(numbers)


@torch.no_grad()
def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """What is in a tensor, in the machine's memory, from where a card copies fastest if it is pinned."""
    here = functools.partial(torch.empty_like, tensor, device="cpu", requires_grad=False)
    try:
        return here(pin_memory=tensor.device.type == "cuda").copy_(tensor)
    except RuntimeError:  # the system does not pin so much
        return here().copy_(tensor)


def _add(
    part: Part, weight: float, layer: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any
) -> Any:
    """A hook of torch's: what the layer gives, and what is added to that."""
    states = args[0] if args else next(iter(kwargs.values()))
    return output + part.added(states, weight)


def _compile_anew(pipeline: Any) -> None:
    """Forget code that was compiled for a pipeline: it holds the hooks that there were."""
    networks = (part for part in pipeline.components.values() if isinstance(part, torch.nn.Module))
    if any(module._compiled_call_impl is not None for network in networks for module in network.modules()):
        torch.compiler.reset()
