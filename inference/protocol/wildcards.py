"""Wildcards: what a prompt leaves to chance, drawn from a seed. Pure: text in, text out.

    {red|blue|}               one of them for every picture; they may hold others, or nothing
    {0.5::red|2::blue}        the second four times as often
    {2$$red|blue|green}       two of them; {1-2$$…} one or two; {2$$ and $$…} with that in between
    __colours__               a line of the operator's file of that name; `*` in it stands for anything

Braces with nothing to choose from are plain text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from inference.protocol.brackets import matched, plain

Lines = Callable[[str], Sequence[str]]
"""From the name of a wildcard file to its lines; none where there is no such file."""

MAX_DEPTH, MAX_LINES = 8, 100
"""How far files may lead to others, and how many lines a prompt draws; what is beyond is left out."""

NAME = r"__([^\W_*][\w*./ -]*?|\*[\w*./ -]*?)__"
_TOKENS = re.compile(rf"\\.?|[{{}}|\[\]｛｝｜［］]|{NAME}|[^\\{{}}|\[\]｛｝｜［］_]+|_", re.DOTALL)
_PAIRS = {"{": "}", "[": "]"}
_MANY = re.compile(r"\s*(?:(\d{1,3})|(\d{0,3})-(\d{0,3}))\$\$(?:((?:(?!\$\$).)*)\$\$)?", re.DOTALL)
_SHARE = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")


def draw_words(text: str, seed: int, lines: Lines | None = None) -> str:
    """The prompt with one alternative of each of its wildcards, always the same for the same seed.

    Without `lines` names of files stay as they are. Backslashes stay too, so that drawing from what was drawn changes
    nothing.
    """
    return _Draw(random.Random(seed), lines).words(text)


class _Draw:
    """One prompt's luck."""

    def __init__(self, chance: random.Random, lines: Lines | None) -> None:
        self._chance = chance
        self._lines = lines
        self._left = MAX_LINES

    def words(self, text: str, depth: int = 0) -> str:
        matches = [*_TOKENS.finditer(text)]
        tokens = [match[0] for match in matches]
        closes, within = matched(tokens, _PAIRS)
        braces = {place for place in closes if plain(tokens[place]) == "{"}
        ends = {closes[place] for place in braces}
        # Every brace that closes, as its alternatives so far; at the bottom the text around them all.
        open_: list[list[str]] = [[""]]
        for place, (match, token) in enumerate(zip(matches, tokens, strict=True)):
            if place in braces:
                open_.append([""])
            elif place in ends:
                alternatives = open_.pop()
                open_[-1][-1] += self._chosen(alternatives)
            elif plain(token) == "|" and within[place] in braces:
                open_[-1].append("")
            elif match[1] is not None and self._lines is not None:
                open_[-1][-1] += self._line(match[1], depth)
            else:
                open_[-1][-1] += token
        return open_[0][0]

    def _chosen(self, alternatives: list[str]) -> str:
        many = _MANY.match(alternatives[0])
        if many is None:
            # Where there is nothing to choose a number is drawn all the same, as it always was.
            chosen = self._pick([*alternatives], weighed=len(alternatives) > 1)
            return chosen if len(alternatives) > 1 else f"{{{chosen}}}"
        alternatives[0] = alternatives[0][many.end() :]
        least, most = self._bounds(many, len(alternatives))
        count = least if least == most else least + int(self._chance.random() * (most - least + 1))
        separator = ", " if many[4] is None else many[4]
        return separator.join(self._pick(alternatives).strip() for _ in range(count))

    def _bounds(self, many: re.Match[str], most: int) -> tuple[int, int]:
        low, high = (many[1], many[1]) if many[1] else (many[2] or "1", many[3] or str(most))
        return min(int(low), int(high), most), min(max(int(low), int(high)), most)

    def _pick(self, alternatives: list[str], weighed: bool = True) -> str:
        """Draw one of these by their shares, and take it from them."""
        shares = [_SHARE.match(one) if weighed else None for one in alternatives]
        weights = [1.0 if share is None else float(share[1]) for share in shares]
        # `random()` gives the same numbers for the same seed in every version of Python.
        at = self._chance.random() * (sum(weights) or 1.0)
        place = 0
        while place < len(alternatives) - 1 and at >= weights[place]:
            at -= weights[place]
            place += 1
        share = shares[place]
        chosen = alternatives.pop(place)
        return chosen if share is None else chosen[share.end() :]

    def _line(self, name: str, depth: int) -> str:
        if depth >= MAX_DEPTH or self._left <= 0 or self._lines is None:
            return ""
        self._left -= 1
        lines = self._lines(name)
        return self.words(self._pick([*lines]), depth + 1) if lines else ""
