"""Passes of one canonical size: on a card the last bits of a result depend on how many there are beside it, and on
nothing else of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Place = TypeVar("Place")


def filled(places: Sequence[Place], batch: int) -> list[Place]:
    """These, and copies of the last one up to the batch. Raises ValueError where there are more, or none."""
    if not 0 < len(places) <= batch:
        raise ValueError(f"{len(places)} do not fit a pass of {batch}")
    return [*places, *[places[-1]] * (batch - len(places))]
