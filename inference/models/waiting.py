"""What left the device and waits in the machine's own memory, from where it comes back without being read again.

Where there is a card, copies are pinned, which is what it copies fastest. A copy stays when its model is back, so that
the next time it leaves nothing is copied; what was used longest ago goes first where the bound is reached. What holds
its weights in a form of a library's own (8 bits and less) does not wait, nor what is in parts in that memory anyway.
When something leaves and comes back is the store's.
"""

from __future__ import annotations

import functools
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from inference.device import Device, host_free_bytes, is_out_of_memory
from inference.models.handles import PictureModel, PictureRefiner
from inference.models.loaders import Plan

log = logging.getLogger(__name__)

RESERVED_BYTES = 2 * 10**9
"""Of the machine's memory, what copies leave to everybody else."""


@dataclass(kw_only=True, eq=False)
class _Copy:
    model: Any
    vram_bytes: int
    """What it takes of the device's memory."""
    away: bool = False
    """Whether it waits here, or works on the device."""
    tensors: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    """Each of its parameters and buffers with what it holds, by the identity of the first."""

    @property
    def held_bytes(self) -> int:
        return sum(_taken(here) for _, here in self.tensors.values())


class Waiting:
    """The copies of one device's models, at most so many bytes of them. Belongs to the store's thread."""

    def __init__(self, device: Device, most_bytes: int) -> None:
        self._device = device
        self._most_bytes = most_bytes if device.is_cuda else 0
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        """By the store's keys, least recently used first."""

    @property
    def held_bytes(self) -> int:
        """What all copies take of the machine's memory, as torch hands it out."""
        return sum(copy.held_bytes for copy in self._copies.values())

    def plan(self, key: str) -> Plan[Any] | None:
        """How a model that waits here comes back; None where it does not wait."""
        copy = self._copies.get(key)
        if copy is None or not copy.away:
            return None
        return Plan(expected_bytes=copy.vram_bytes, load=functools.partial(self._back, key))

    def model(self, key: str) -> Any:
        """What waits here, not to be used; None where nothing does."""
        copy = self._copies.get(key)
        return copy.model if copy is not None and copy.away else None

    def leave(self, key: str, model: Any, vram_bytes: int) -> bool:
        """Take a model from the device, to wait here. False where it cannot; it must not be used then, or ever again.

        Its LoRAs rest, and its prompts are forgotten.
        """
        known = self._copies.pop(key, None)
        copy = _Copy(model=model, vram_bytes=vram_bytes, away=True, tensors={} if known is None else known.tensors)
        if not self._most_bytes or (tensors := _tensors(model)) is None:
            return False
        if isinstance(model, PictureModel):
            model.adapters.switch(())
        if isinstance(model, PictureModel | PictureRefiner):
            model.prompts.forget()
        new = [each for each in tensors if id(each) not in copy.tensors]
        needed = sum(_taken(each) for each in new)
        if not self._make_room(copy.held_bytes + needed, needed):
            return False
        try:
            for each in new:
                copy.tensors[id(each)] = each, self._copied(each)
        except RuntimeError as error:
            if not is_out_of_memory(error) and not isinstance(error, torch.AcceleratorError):
                raise
            log.warning("%s finds no room in the machine's memory: %s", key, error)
            return False
        present = {id(each) for each in tensors}
        copy.tensors = {name: pair for name, pair in copy.tensors.items() if name in present}
        for each, here in copy.tensors.values():
            each.data = here
        self._copies[key] = copy
        return True

    def _back(self, key: str) -> Any:
        """A model that waits here, on the device again. Raises as torch does where that is full, and it still waits."""
        copy = self._copies[key]
        try:
            for each, here in copy.tensors.values():
                each.data = here.to(self._device.where, non_blocking=True)
        except RuntimeError:
            for each, here in copy.tensors.values():
                each.data = here
            raise
        self._device.settle()
        copy.away = False
        self._copies.move_to_end(key)
        return copy.model

    def used(self, key: str) -> None:
        """What is used on the device keeps its copy longest."""
        if key in self._copies:
            self._copies.move_to_end(key)

    def forget(self, key: str) -> None:
        """Give up what is here of this model."""
        if self._copies.pop(key, None) is not None:
            _give_back()

    def give_up(self, needed_bytes: int) -> None:
        """Give up copies until so much of the machine's memory is free, or none is left."""
        while self._copies and host_free_bytes() < needed_bytes:
            self._drop_first()

    def _make_room(self, held_bytes: int, needed_bytes: int) -> bool:
        """Whether a copy that will hold so much, of which so much is not here yet, finds room beside the others."""
        if held_bytes > self._most_bytes:
            return False
        while self._copies and (
            self.held_bytes + held_bytes > self._most_bytes or host_free_bytes() < needed_bytes + RESERVED_BYTES
        ):
            self._drop_first()
        return host_free_bytes() >= needed_bytes + RESERVED_BYTES

    def _drop_first(self) -> None:
        key, _ = self._copies.popitem(last=False)
        log.info("the copy of %s leaves the machine's memory", key)
        _give_back()

    def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
        pinned = tensor.device.type == "cuda"
        here = torch.empty_like(tensor, device="cpu", pin_memory=pinned, requires_grad=False)
        return here.copy_(tensor.detach())


def _tensors(model: Any) -> list[torch.Tensor] | None:
    """All parameters and buffers of a model; None where it cannot be moved by them alone."""
    if isinstance(model, PictureModel) and model.policy.offload != "none":
        return None
    found = {id(each): each for module in model.modules for each in _of(module)}
    plain = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
    return [*found.values()] if all(type(each) in plain for each in found.values()) else None


def _of(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    parts: Iterable[Iterable[torch.Tensor]] = (module.parameters(), module.buffers())
    for part in parts:
        yield from part


def _taken(tensor: torch.Tensor) -> int:
    """What a copy takes: torch rounds each piece of pinned memory up to a power of two."""
    return 1 << (tensor.nbytes - 1).bit_length() if tensor.nbytes else 0


def _give_back() -> None:
    """Let the system have pinned memory again, which torch would keep."""
    if torch.cuda.is_available():
        torch.accelerator.empty_host_cache()
