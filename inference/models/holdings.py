"""What the store has on the device, told to the bot whenever that has changed."""

from __future__ import annotations

from collections.abc import Callable

from inference.models.store import Store
from inference.protocol import Holding


class Holdings:
    """Belongs to the thread that owns the device."""

    def __init__(self, store: Store, send: Callable[[Holding], None]) -> None:
        """`send` puts it on the wire, or raises PeerGone."""
        self._store = store
        self._send = send
        self._told: dict[str, int] = {}
        self._loads = 0

    def tell(self) -> None:
        """Say it, where it is other than when it was said last. Call it as often as you like. Raises as `send` does."""
        if (held := self._store.resident()) == self._told:
            return
        self._loads += len(held.keys() - self._told.keys())
        self._told = held
        budget, device = self._store.budget_bytes(), self._store.device.memory_bytes
        self._send(Holding(models=held, loads=self._loads, budget_bytes=budget, device_bytes=device))

    def spare(self) -> None:
        """Let go of everything that no task uses, for who else needs the device's memory, and say so. Raises as `tell`
        does."""
        self._store.let_go()
        self._store.device.release_cache()
        self._told = {"": 0}
        self.tell()
