"""Numbers as members type them into a form."""

from __future__ import annotations

import re

from bot.errors import MemberError
from inference.protocol import Fact


def whole(text: str, problem: str, /, **facts: Fact) -> int | None:
    """The whole number; None where the field was left empty.

    Raises MemberError where it is none, with this problem (a text of the source) of these facts and of what was typed.
    """
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise MemberError(problem, typed=text, **facts)
    return int(text)


def number(text: str, problem: str, /, **facts: Fact) -> float | None:
    """The number, a decimal comma allowed, on the same terms."""
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{0,9}[.,]?[0-9]{1,9}", text):
        raise MemberError(problem, typed=text, **facts)
    return float(text.replace(",", "."))
