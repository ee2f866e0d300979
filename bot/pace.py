"""How fast the engine is, by the kinds of its jobs, from the newest that it finished: for estimates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from inference.protocol import Request

NEWEST = 20


@dataclass(frozen=True, slots=True)
class Done:
    """A job that was finished."""

    work: float
    seconds: float
    """From its turn to its end: of the whole pass, where others rode along."""
    share: float
    """What part of that it had for itself, from 0 to 1."""


class Pace:
    """Seconds for one unit of each kind's work: what it costs those who wait behind it, and until its own end."""

    def __init__(self) -> None:
        self._newest: dict[str, deque[Done]] = {}

    def add(self, request: Request, seconds: float, share: float) -> None:
        """Learn from a job that was finished; `share` is what part of these seconds it had for itself."""
        newest = self._newest.setdefault(request.kind, deque(maxlen=NEWEST))
        newest.append(Done(request.work, seconds, share))

    def own_s(self, request: Request) -> float | None:
        """How long this request will take from its turn to its end; None where none of its kind was ever done."""
        done = self._newest.get(request.kind)
        return request.work * _seconds(done, lambda each: each.seconds) if done else None

    def cost_s(self, work: Mapping[str, float]) -> float | None:
        """How long so much work of each kind will keep others waiting; None where one of the kinds was never done."""
        total_s = 0.0
        for kind, units in work.items():
            done = self._newest.get(kind)
            if not done:
                return None
            total_s += units * _seconds(done, lambda each: each.seconds * each.share)
        return total_s

    def cost_s_of(self, requests: Iterable[Request]) -> float | None:
        """The same of these requests together."""
        work: dict[str, float] = {}
        for request in requests:
            work[request.kind] = work.get(request.kind, 0.0) + request.work
        return self.cost_s(work)


def _seconds(done: Collection[Done], of_one: Callable[[Done], float]) -> float:
    """For one unit of work."""
    return sum(map(of_one, done)) / max(sum(each.work for each in done), 1e-9)
