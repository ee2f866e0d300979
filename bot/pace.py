"""How fast the engine is, by the kinds of its jobs, from the newest that it finished: for estimates."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from inference.protocol import Request

NEWEST = 20


class Pace:
    """Seconds for one unit of each kind's work."""

    def __init__(self) -> None:
        self._newest: dict[str, deque[tuple[float, float]]] = {}

    def add(self, request: Request, seconds: float) -> None:
        """Learn from a job that was finished."""
        self._newest.setdefault(request.kind, deque(maxlen=NEWEST)).append((request.work, seconds))

    def seconds(self, work: Mapping[str, float]) -> float | None:
        """How long so much work of each kind will take; None where one of the kinds was never done."""
        total_s = 0.0
        for kind, units in work.items():
            done = self._newest.get(kind)
            if not done:
                return None
            total_s += units * sum(seconds for _, seconds in done) / max(sum(each for each, _ in done), 1e-9)
        return total_s

    def seconds_of(self, requests: Iterable[Request]) -> float | None:
        """The same of these requests together."""
        work: dict[str, float] = {}
        for request in requests:
            work[request.kind] = work.get(request.kind, 0.0) + request.work
        return self.seconds(work)
