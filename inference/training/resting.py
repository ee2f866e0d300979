"""A model that leaves its card while others use that, and comes back to it as it was."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from inference.device import Device


class Resting:
    """Networks that may leave their device between two steps. Nothing may use them until they are back."""

    def __init__(self, device: Device, networks: Iterable[torch.nn.Module]) -> None:
        self._device = device
        self._networks = tuple(networks)
        self._away: list[torch.Tensor] = []

    def leave(self, needed_bytes: int) -> bool:
        """Let others have so much of the device's memory; whether that took that these leave it."""
        if not self._device.is_cuda:
            return False
        self._device.settle()
        self._device.release_cache()
        if self._device.free_bytes() >= needed_bytes:
            return False
        tensors = {id(each): each for network in self._networks for each in (*network.parameters(), *network.buffers())}
        self._away = [each for each in tensors.values() if each.device == self._device.where]
        for each in self._away:
            each.data = each.data.to("cpu")
        self._device.release_cache()
        return True

    def back(self) -> None:
        """Be on the device again. Raises as torch does where that is full: then they can be used no more."""
        for each in self._away:
            each.data = each.data.to(self._device.where)
        self._away = []
        self._device.settle()
