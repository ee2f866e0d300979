"""Discord's rate limits: buckets of requests, and the headers that tell a bot how full they are."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from sandbox.clock import Clock

GLOBAL_PER_SECOND = 50


@dataclass
class _Window:
    ends: float
    used: int = 0


class RateLimits:
    """Counts requests per bucket. A bucket is a route with its major parameter (channel, webhook or server)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._second = _Window(0.0)

    def count_for_all(self) -> float | None:
        """Count one request of all that are made together; return after how many seconds to try one too many again."""
        now = self._clock.now()
        if self._second.ends <= now:
            self._second = _Window(now + 1.0)
        if self._second.used >= GLOBAL_PER_SECOND:
            return self._second.ends - now
        self._second.used += 1
        return None

    def count(self, route: str, major: str, *, enforced: bool) -> tuple[dict[str, str], float | None]:
        """Count one request; return the headers, and after how many seconds to try again if it is one too many."""
        size, period_s = _bucket_size(route)
        now = self._clock.now()
        key = f"{route}:{major}"
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            if len(self._windows) > 1000:
                self._windows = {name: kept for name, kept in self._windows.items() if kept.ends > now}
            window = self._windows[key] = _Window(now + period_s)
        if not enforced:
            # A bot that paces itself by the headers must never see an empty bucket while limits are off.
            size, window.used = GLOBAL_PER_SECOND, 0
        allowed = window.used < size
        window.used += allowed
        remaining_s = max(window.ends - now, 0.001)
        headers = {
            "X-RateLimit-Limit": str(size),
            "X-RateLimit-Remaining": str(size - window.used),
            "X-RateLimit-Reset": f"{window.ends:.3f}",
            "X-RateLimit-Reset-After": f"{remaining_s:.3f}",
            "X-RateLimit-Bucket": hashlib.md5(route.encode(), usedforsecurity=False).hexdigest(),
        }
        return headers, None if allowed else remaining_s


def too_many_headers(retry_after_s: float, *, for_all: bool = False) -> dict[str, str]:
    """Return the headers of a 429. Libraries heed one only where `Via` shows that it came through Discord's proxy."""
    return {
        "Via": "1.1 google",
        "Retry-After": str(math.ceil(retry_after_s)),
        "X-RateLimit-Scope": "global" if for_all else "user",
    } | ({"X-RateLimit-Global": "true"} if for_all else {})


def _bucket_size(route: str) -> tuple[int, float]:
    """Return how many requests a bucket holds and for how many seconds, as seen on Discord."""
    if route.startswith(("POST /channels", "PATCH /channels", "DELETE /channels")):
        return 5, 5.0
    if "/webhooks/" in route:
        return 5, 2.0
    if "/applications/" in route:
        return 5, 20.0
    return GLOBAL_PER_SECOND, 1.0
