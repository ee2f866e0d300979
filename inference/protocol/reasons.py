"""Why something cannot be done, or was done otherwise than asked: a name and facts, and no words.

Words are made where members read them, in their language; every name stands there once, with a sentence that holds
its facts.
"""

from __future__ import annotations

import msgspec

Fact = str | int | float | tuple[str, ...]
"""What a sentence is filled in with: a name or what a member typed, a number, or what there is to choose from."""


class Reason(msgspec.Struct, frozen=True):
    """Why, for whoever puts it into words."""

    name: str
    facts: dict[str, Fact]


def because(name: str, /, **facts: Fact) -> Reason:
    """The reason of this name with these facts."""
    return Reason(name, facts)
