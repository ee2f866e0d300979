"""Facts in sentences: numbers as people write them, names and what members typed cut to what a sentence holds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from inference.protocol import Fact

FEW, NEAREST = 10, 5
"""So many names a sentence holds as they are; of more, so many."""

ECHO_CHARS = 60
"""How much of what a member typed is said back to them."""

TYPED = "typed"
"""The fact that is what a member typed: it stands in quotes, and names to choose from are those that are like it."""


def shown(facts: Mapping[str, Fact]) -> dict[str, str]:
    """The facts of a sentence as they stand in it."""
    return {name: _shown(name, fact, str(facts.get(TYPED, ""))) for name, fact in facts.items()}


def _shown(name: str, fact: Fact, typed: str) -> str:
    match fact:
        case str() if name == TYPED:
            return echo(fact)
        case float():
            return f"{fact:.4g}"
        case tuple() | list():
            return nearest(typed, fact)
        case _:
            return _short(str(fact))


def echo(text: str) -> str:
    """What a member typed, in quotes, in one line and cut where it is long."""
    return repr(_short(" ".join(text.split())))


def nearest(typed: str, names: Iterable[str]) -> str:
    """The names to choose from: all where they are few, else those most like what was typed, and how many more."""
    known = list(names)
    if len(known) <= FEW:
        return ", ".join(_short(name) for name in known)
    lowered = {name.lower(): name for name in known}
    alike = difflib.get_close_matches(typed.lower(), lowered, n=NEAREST, cutoff=0.4)
    chosen = [lowered[name] for name in alike] or known[:NEAREST]
    return f"{', '.join(_short(name) for name in chosen)} (+{len(known) - len(chosen)})"


def _short(name: str) -> str:
    return name if len(name) <= ECHO_CHARS else name[: ECHO_CHARS - 1] + "…"
