"""How long to wait between tries of what must succeed in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat


def growing(waits_s: Sequence[float]) -> Iterator[float]:
    """These waits one after the other, and the last one again and again."""
    return chain(waits_s, repeat(waits_s[-1]))
