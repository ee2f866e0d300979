"""A CPU that says it is a card, so that what is done for a card alone can be run without one."""

from __future__ import annotations

import torch

from inference.device import Device


class Card(Device):
    """Whatever leaves it for the machine's memory stays where it is; all the hooks are real."""

    is_cuda = True

    def dtype(self, wanted: str, auto: str = "float16") -> torch.dtype:
        return torch.float32

    def settle(self) -> None:
        pass

    def free_bytes(self) -> int:
        return self.memory_bytes


def card(memory_bytes: int = 10**12) -> Card:
    return Card(where=torch.device("cpu"), name="a card", memory_bytes=memory_bytes)
