"""In which order choices are offered: what fits best to what was typed, then what a member uses most."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Choice = TypeVar("Choice")

EXACT, PREFIX, WORD, SUBSTRING = range(4)


def fit(typed: str, names: Iterable[str]) -> int | None:
    """How well the best of these names fits, less is better; None where none does. Nothing typed fits everything."""
    wanted = " ".join(typed.split()).casefold()
    fits = [found for name in names if (found := _fit(wanted, name.casefold())) is not None]
    return min(fits, default=None)


def ranked(
    choices: Iterable[Choice],
    typed: str,
    names: Callable[[Choice], Sequence[str]],
    uses: Callable[[Choice], int] = lambda _: 0,
) -> list[Choice]:
    """Those that fit, best first: the whole name, its beginning, the beginning of a word in it, any part of it. Of
    those that fit alike the one that is used most comes first, and else what came first."""
    fits = [(found, -uses(choice), choice) for choice in choices if (found := fit(typed, names(choice))) is not None]
    return [choice for _, _, choice in sorted(fits, key=lambda one: one[:2])]


def _fit(wanted: str, name: str) -> int | None:
    if wanted == name:
        return EXACT
    if name.startswith(wanted):
        return PREFIX
    if re.search(rf"\b{re.escape(wanted)}", name):
        return WORD
    return SUBSTRING if wanted in name else None
