"""An event loop whose clock stands still while anybody works and jumps while all sleep: hours pass in seconds.

Nothing that waits for the world outside, a thread, a socket or a file, belongs into it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Jumping(selectors.SelectSelector):
    """What the loop asks how long it may sleep."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nobody for a time: the simulation has come to a standstill")
        self.now += max(timeout, 0.0)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(simulation: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in virtual time, which begins at 0: `asyncio.get_running_loop().time()` tells it."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(simulation)
