"""What an engine says of a model that another server has."""

from __future__ import annotations

import msgspec

MILLIONTHS = 1_000_000
"""Of one of any currency: prices are counted in them."""


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is painted with that another server has: it shows neither steps nor noise."""

    host: str
    """Whose server that is, as members are told."""
    seeded: bool
    """Whether it takes a seed. Without one no picture can be repeated."""
    edits: bool
    """Whether it is shown pictures, and masks of them."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Width and height of all that it paints; none where it paints any within the model's limits."""
    most: int = 1
    """How many pictures one request can ask for."""
    checker: str = ""
    """Which checker looks at what it paints; none where it is empty."""
    at_once: int = 1
    """How many requests it is sent at a time."""
    currency: str = ""
    """What its prices are in; empty where it has none."""
    price: int = 0
    """Of one picture, in millionths."""
    prices: dict[str, int] = {}
    """The same for sizes, written as 1024x1024, that cost something else."""

    def price_of(self, width: int, height: int, count: int) -> int:
        """What so many pictures of this size cost, in millionths of its currency."""
        return count * self.prices.get(f"{width}x{height}", self.price)
