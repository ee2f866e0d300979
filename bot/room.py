"""How many jobs may wait, in all and of one member: places are held from before anything is awaited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.errors import MemberError
from inference.protocol import because


class Room:
    """The places of the queue."""

    def __init__(self, waiting: Callable[[int | None], int], most: int, most_of_member: int) -> None:
        """`waiting` tells how many wait: of this member, or in all."""
        self._waiting = waiting
        self._most = most
        self._most_of_member = most_of_member
        self._coming: Counter[int] = Counter()
        """How many jobs of each member are on their way into the queue."""

    @contextmanager
    def held(self, member_id: int) -> Iterator[None]:
        """Hold a place in the queue from before the first await until the job is in it. Raises MemberError."""
        if self._waiting(member_id) + self._coming[member_id] >= self._most_of_member:
            raise MemberError.of(because("waiting_of_member", count=self._most_of_member))
        if (waiting := self._waiting(None) + self._coming.total()) >= self._most:
            raise MemberError.of(because("waiting_of_all", count=waiting))
        self._coming[member_id] += 1
        try:
            yield
        finally:
            self._coming[member_id] -= 1
            if not self._coming[member_id]:
                del self._coming[member_id]
