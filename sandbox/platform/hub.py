"""Who is told when something happens: bots through their gateway sessions, members through their open pages.

It passes on finished frames. What a frame says is decided by whoever publishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any

Json = dict[str, Any]
Listener = Callable[[Json], None]
Dispatch = Callable[[str, Json], None]
ANYTHING = 0
"""What those wait for who name no ids."""


class Hub:
    """Holds the listeners, and wakes those who wait for a change of what they name, so that many can wait at once."""

    def __init__(self) -> None:
        self._members: dict[int, list[Listener]] = {}
        self._bots: list[Dispatch] = []
        self._waiting: dict[int, set[asyncio.Event]] = {}

    @property
    def listening(self) -> Collection[int]:
        """The ids of the members whose pages are open."""
        return tuple(self._members)

    def listen(self, member_id: int, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every frame for a member until the returned function is called."""
        self._members.setdefault(member_id, []).append(listener)

        def stop() -> None:
            self._members[member_id].remove(listener)
            if not self._members[member_id]:
                del self._members[member_id]

        return stop

    def attach_bot(self, dispatch: Dispatch) -> None:
        """Call `dispatch` with the name and data of every gateway event."""
        self._bots.append(dispatch)

    def tell_members(self, frame: Json, only: Iterable[int] | None = None) -> None:
        """Send a frame to every member, or to these, as far as their pages are open; wake who waits for anything."""
        for member_id in self.listening if only is None else only:
            for listener in tuple(self._members.get(member_id, ())):
                listener(frame)
        self.wake()

    def tell_bots(self, event: str, data: Json) -> None:
        for dispatch in self._bots:
            dispatch(event, data)

    def wake(self, *ids: int) -> None:
        """Let everyone look again who waits for one of these, or for anything."""
        for changed in (ANYTHING, *ids):
            for event in self._waiting.get(changed, ()):
                event.set()

    async def change(self, timeout_s: float, ids: Iterable[int] = (ANYTHING,)) -> bool:
        """Wait for the next change of one of `ids` (interactions, messages); return False if there was none in time."""
        event = asyncio.Event()
        named = set(ids)
        for one in named:
            self._waiting.setdefault(one, set()).add(event)
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            for one in named:
                self._waiting[one].discard(event)
                if not self._waiting[one]:
                    del self._waiting[one]
        return True
