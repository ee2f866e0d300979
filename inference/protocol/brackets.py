"""Which brackets of a prompt close, and which signs stand right within which of them. Pure: signs in, places out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PLAIN = str.maketrans("（）［］｛｝｜：", "()[]{}|:")
"""The wide signs that phones write, as those which they stand for."""


REACH = 64
"""How many brackets that do not close are looked past."""


def plain(sign: str) -> str:
    """A sign of a prompt as a keyboard of the West has it; whatever is no sign stays."""
    return sign.translate(PLAIN) if len(sign) == 1 else sign


def matched(tokens: Sequence[str], pairs: Mapping[str, str]) -> tuple[dict[int, int], list[int | None]]:
    """Where each bracket that closes does so, by where it opens; and for every token the innermost such bracket.

    `pairs` says what closes each, the strongest first. What is opened within one ends with it, closed or not.
    """
    open_: list[int] = []
    closes: dict[int, int] = {}
    for place, token in enumerate(map(plain, tokens)):
        if token in pairs:
            open_.append(place)
        elif token in pairs.values():
            _close(open_, closes, place, [plain(tokens[one]) for one in open_[-REACH:]], token, pairs)
    within: list[int | None] = []
    around: list[int] = []
    for place in range(len(tokens)):
        if around and closes[around[-1]] == place:
            around.pop()
        within.append(around[-1] if around else None)
        if place in closes:
            around.append(place)
    return closes, within


def _close(
    open_: list[int], closes: dict[int, int], place: int, signs: Sequence[str], token: str, pairs: Mapping[str, str]
) -> None:
    """Close the innermost bracket that this token can, past weaker ones that were opened within: those are text."""
    strength = [*pairs]
    for back, sign in enumerate(reversed(signs), start=1):
        if pairs[sign] == token:
            closes[open_[-back]] = place
            del open_[-back:]
            return
        if strength.index(sign) < next(rank for rank, one in enumerate(strength) if pairs[one] == token):
            return
