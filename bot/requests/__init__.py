"""What members ask for becomes a request here: from words and options to what the engine can run."""

from __future__ import annotations

from bot.errors import MemberError
from inference.protocol import Ready, Request, limits


def require_possible(request: Request, ready: Ready) -> None:
    """Raise MemberError where the engine, as it is now, cannot run this request: it may be years old."""
    if (problem := limits.problem(request, ready)) is not None:
        raise MemberError.of(problem)
