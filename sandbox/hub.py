"""Who is told when something happens: bots through their gateway sessions, members through their open pages.

It passes on finished frames. What a frame says is decided by whoever publishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Listener = Callable[[Json], None]
Dispatch = Callable[[str, Json], None]


class Hub:
    """Holds the listeners, and wakes those who wait for a change."""

    def __init__(self) -> None:
        self._members: dict[int, list[Listener]] = {}
        self._bots: list[Dispatch] = []
        self._changed = asyncio.Event()

    def listen(self, member_id: int, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every frame for a member until the returned function is called."""
        listeners = self._members.setdefault(member_id, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def attach_bot(self, dispatch: Dispatch) -> None:
        """Call `dispatch` with the name and data of every gateway event."""
        self._bots.append(dispatch)

    def tell_members(self, frame: Json, only: int | None = None) -> None:
        """Send a frame to every member, or to `only` this one, and wake who waits."""
        for member_id, listeners in self._members.items():
            if only in (None, member_id):
                for listener in tuple(listeners):
                    listener(frame)
        self.wake()

    def tell_bots(self, event: str, data: Json) -> None:
        for dispatch in self._bots:
            dispatch(event, data)

    def wake(self) -> None:
        """Let everyone in `change` look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, timeout_s: float) -> bool:
        """Wait for the next change; return False if there was none in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
