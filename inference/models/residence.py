"""Tells the bot which models are in memory."""

from __future__ import annotations

from collections.abc import Callable

from inference.models.store import Store
from inference.protocol import Holding


class Residence:
    """What the bot was told last; one for each store."""

    def __init__(self, store: Store, send: Callable[[Holding], None]) -> None:
        self._store = store
        self._send = send
        self._told: dict[str, int] = {}
        self._loads = 0

    def tell(self) -> None:
        """Say which models are in memory, where that are others than when it was said last. Raises PeerGone."""
        if (held := self._store.resident()) != self._told:
            self._loads += len(held.keys() - self._told.keys())
            self._told, budget, device = held, self._store.budget_bytes(), self._store.device.memory_bytes
            self._send(Holding(models=held, loads=self._loads, budget_bytes=budget, device_bytes=device))
