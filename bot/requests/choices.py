"""Names in sentences to members: what they typed and what there is, both cut to what a sentence holds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

FEW, NEAREST = 10, 5
"""So many names a sentence holds as they are; of more, so many."""

ECHO_CHARS = 60
"""How much of what a member typed is said back to them."""


def echo(text: str) -> str:
    """What a member typed, in quotes, in one line and cut where it is long."""
    line = " ".join(text.split())
    return repr(line if len(line) <= ECHO_CHARS else line[: ECHO_CHARS - 1] + "…")


def nearest(typed: str, names: Iterable[str]) -> str:
    """The names to choose from: all where they are few, else those most like what was typed, and how many more."""
    known = list(names)
    if len(known) <= FEW:
        return ", ".join(_short(name) for name in known)
    lowered = {name.lower(): name for name in known}
    alike = difflib.get_close_matches(typed.lower(), lowered, n=NEAREST, cutoff=0.4)
    shown = [lowered[name] for name in alike] or known[:NEAREST]
    return f"{', '.join(_short(name) for name in shown)} (and {len(known) - len(shown)} more)"


def _short(name: str) -> str:
    return name if len(name) <= ECHO_CHARS else name[: ECHO_CHARS - 1] + "…"
