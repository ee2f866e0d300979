"""Whose turn a device is: requests of an engine go first, and a trainer has it while none is there. No process here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

QUIET_S = 2.0
"""So long no request may have come before training goes on: one is seldom the last."""

HOLD_WITHIN_S = 30.0
"""How long a trainer on a card may take to the end of its step, or to load its model. It is ended after that, and goes
on from its checkpoint: what waits needs the card's memory."""


class Turns:
    """Of one device. It is an engine's `Neighbour`; the trainer's side is for `runner`."""

    def __init__(self) -> None:
        self._requests = 0
        self._quiet_since = 0.0
        self._changed = asyncio.Event()
        self._free = asyncio.Event()
        """Set while no trainer uses the device."""
        self._free.set()
        self.evict: Callable[[], None] = _nothing
        """Ends the trainer, whatever it does."""
        self.has_memory = False
        """Whether the trainer uses memory of a card: then requests wait until it has given way."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Within, the device is for requests; on a card this waits until it is."""
        self._requests += 1
        self._changed.set()
        try:
            if self.has_memory:
                await self._freed()
            yield
        finally:
            self._requests -= 1
            self._quiet_since = asyncio.get_running_loop().time()
            self._changed.set()

    async def wanted(self) -> None:
        """Wait until there is a request."""
        while not self._requests:
            self._changed.clear()
            await self._changed.wait()

    async def quiet(self) -> None:
        """Wait until there has been none for a while. Until something is awaited there is none then."""
        clock = asyncio.get_running_loop().time
        while self._requests or (left_s := self._quiet_since + QUIET_S - clock()) > 0:
            self._changed.clear()
            if self._requests:
                await self._changed.wait()
            else:
                await asyncio.sleep(left_s)

    def take(self) -> None:
        """The trainer uses the device from now on."""
        self._free.clear()

    def give(self) -> None:
        """It has given way."""
        self._free.set()

    def leave(self) -> None:
        """The trainer is gone."""
        self.has_memory, self.evict = False, _nothing
        self._free.set()

    async def given(self) -> None:
        """Wait until it does so no more."""
        await self._free.wait()

    async def _freed(self) -> None:
        try:
            await asyncio.wait_for(self._free.wait(), HOLD_WITHIN_S)
        except TimeoutError:
            log.warning("the trainer did not give way within %.0f s and is ended; it goes on later", HOLD_WITHIN_S)
            self.evict()
            await self._free.wait()


def _nothing() -> None:
    return
