"""Every REST request of the bot with its answer, as `GET /sandbox/log` shows it."""

from __future__ import annotations

import json
from collections import deque
from itertools import islice
from typing import Any

from sandbox.clock import Clock

Json = dict[str, Any]
KEPT = 10_000
INVALID = (401, 403, 429)
INVALID_WINDOW_S = 10 * 60.0
"""Discord bans an address for a while that has had 10,000 invalid requests in ten minutes."""


class Journal:
    """The last requests, numbered from 1. Answers are kept as they were sent and read only when they are asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[Json] = deque(maxlen=KEPT)
        self._invalid: deque[float] = deque()
        self.next = 1

    def append(self, entry: Json) -> None:
        """Keep a request; its `response` is the answer's body or None."""
        self._entries.append({"number": self.next} | entry)
        self.next += 1
        if entry["status"] in INVALID:
            self._invalid.append(self._clock.now())

    def since(self, number: int) -> list[Json]:
        """Return the entries from this number on, oldest first."""
        first = self.next - len(self._entries)
        return [
            entry | {"response": json.loads(entry["response"]) if entry["response"] else None}
            for entry in islice(self._entries, max(number - first, 0), None)
        ]

    @property
    def invalid_requests(self) -> int:
        """How many requests of the last ten minutes Discord counts against the bot's address."""
        while self._invalid and self._clock.now() - self._invalid[0] >= INVALID_WINDOW_S:
            self._invalid.popleft()
        return len(self._invalid)
