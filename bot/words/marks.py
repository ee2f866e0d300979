"""Marks on texts that are written down in one place and said in another: by them they are found for the catalogues."""

from __future__ import annotations

from typing import NamedTuple


def N_(text: str) -> str:
    """The text as it is, to be said later."""
    return text


class Many(NamedTuple):
    """A text that depends on a number, to be said later."""

    one: str
    many: str
    by: str
    """The fact that is this number."""
