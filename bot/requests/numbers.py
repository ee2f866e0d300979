"""Numbers as members type them into a form."""

from __future__ import annotations

import re

from bot.errors import MemberError


def whole(name: str, text: str) -> int | None:
    """The whole number; None where the field was left empty. Raises MemberError where it is none."""
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise MemberError("{name} {typed} is not a whole number: write digits only.", name=name, typed=text)
    return int(text)


def number(name: str, text: str) -> float | None:
    """The number, a decimal comma allowed, on the same terms."""
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{0,9}[.,]?[0-9]{1,9}", text):
        raise MemberError("{name} {typed} is not a number: write one like 0.6.", name=name, typed=text)
    return float(text.replace(",", "."))
