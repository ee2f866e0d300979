"""Numbers as members type them into a form, and whether they are within their limits."""

from __future__ import annotations

import re

from bot.errors import MemberError
from bot.requests.choices import echo


def whole(name: str, text: str) -> int | None:
    """The whole number; None where the field was left empty. Raises MemberError where it is none."""
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise MemberError(f"{name} {echo(text)} is not a whole number: write digits only.")
    return int(text)


def number(name: str, text: str) -> float | None:
    """The number, a decimal comma allowed, on the same terms."""
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{0,9}[.,]?[0-9]{1,9}", text):
        raise MemberError(f"{name} {echo(text)} is not a number: write one like 0.6.")
    return float(text.replace(",", "."))


def within(name: str, value: float, least: float, most: float) -> None:
    """Raise MemberError where the value is not from `least` to `most`."""
    if not least <= value <= most:
        raise MemberError(f"{name} {value:g} does not fit: choose a number from {least:g} to {most:g}.")
