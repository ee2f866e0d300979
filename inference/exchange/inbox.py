"""What the bot has asked for and nobody has begun: two lines, and the quick one goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition

from inference.errors import PeerBroken
from inference.protocol import Batch, Spare, Work


@dataclass(frozen=True)
class End:
    """The reader's last word: no batch will come any more."""

    error: PeerBroken | None = None


class Inbox:
    """Batches between the thread that reads them and the one that works. Each is quick as a whole or not at all."""

    def __init__(self) -> None:
        self._quick: deque[Batch] = deque()
        self._others: deque[Batch] = deque()
        self._end: End | None = None
        self._spare: Spare | None = None
        self._changed = Condition()

    def put(self, batch: Batch) -> None:
        """Add a batch to its line. An empty one is nothing."""
        if not batch.requests:
            return
        with self._changed:
            (self._quick if batch.requests[0].quick else self._others).append(batch)
            self._changed.notify()

    def put_back(self, batch: Batch) -> None:
        """Let a batch that could not be run just now be the first of those that are not quick."""
        if not batch.requests:
            return
        with self._changed:
            self._others.appendleft(batch)
            self._changed.notify()

    def spare(self, spare: Spare) -> None:
        """Say this once nothing else waits."""
        with self._changed:
            self._spare = spare
            self._changed.notify()

    def end(self, end: End) -> None:
        """Nothing will be added any more."""
        with self._changed:
            self._end = end
            self._changed.notify()

    def is_empty(self) -> bool:
        """Whether `next` would wait."""
        with self._changed:
            return not (self._quick or self._others or self._spare or self._end)

    def next(self) -> Batch | Spare | End:
        """Wait for the next batch; the end comes after the last of them."""
        with self._changed:
            self._changed.wait_for(lambda: self._quick or self._others or self._spare or self._end)
            if self._quick or self._others:
                return (self._quick or self._others).popleft()
            if (spare := self._spare) is not None:
                self._spare = None
                return spare
            assert self._end is not None
            return self._end

    def next_quick(self) -> Batch | None:
        """The next quick batch, None where none waits. Never waits itself."""
        with self._changed:
            return self._quick.popleft() if self._quick else None

    def next_alike(self, is_alike: Callable[[Work], bool], places: int, quick: bool) -> Batch | None:
        """The batch that is next of those that are quick, or are not, where all of it is so and takes no more places;
        else None. Never waits itself.
        """
        with self._changed:
            line = self._quick if quick else self._others
            if not line:
                return None
            requests = line[0].requests
            fits = all(map(is_alike, requests)) and sum(request.places for request in requests) <= places
            return line.popleft() if fits else None
