"""Words that change from step to step, and those that are weighed against each other, as AUTOMATIC1111 reads them.

    [a cat:a dog:0.5]  [a hat:4]  [a hat::0.8]    from this share or number of the steps on another one, or it, or none
    [cow|horse]                                   one at each step in turn
    a cat AND a dog :1.2                          both, each guided by itself
    BREAK                                         what follows is read in a window of its own

Pure: text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from inference.protocol.brackets import matched, plain
from inference.protocol.reasons import Reason, because
from inference.protocol.words import MAX_WEIGHT, WeighedWords

MAX_PARTS = 4
"""Of what AND joins: the model is run once more at every step for each."""
MAX_DEPTH = 16
"""How far changes may be nested; what is deeper is plain text."""
MAX_TEXTS = 32
"""Of different words that one picture's steps are painted from."""

_TOKENS = re.compile(r"\\.?|[\[\]():|［］（）：｜]|[^\\\[\]():|［］（）：｜]+", re.DOTALL)
_PAIRS = {"[": "]", "(": ")"}
_WHEN = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*")
_AND = re.compile(r"\s*\bAND\b(?!_)\s*")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_WEIGHT = re.compile(r"(.*?)\s*[:：]\s*([+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9}))\s*", re.DOTALL)


@dataclass(frozen=True)
class _Change:
    before: Sequence[_Node]
    after: Sequence[_Node]
    when: str


@dataclass(frozen=True)
class _Turns:
    options: Sequence[Sequence[_Node]]


_Node = str | _Change | _Turns


def at_steps(text: str, steps: int, second: bool = False) -> tuple[tuple[int, str], ...]:
    """From which step on, counted from 0, which words: the first from 0.

    Of a second pass shares are counted from 1 on, as 1.5 for its half; to it what is settled in the first one is.
    """
    tree = _parsed(text)
    if all(isinstance(node, str) for node in tree):
        return ((0, text),)
    texts = ((step, _at(tree, step, steps, second)) for step in range(steps))
    return tuple(next(of_text) for _, of_text in groupby(texts, key=lambda one: one[1]))


def changes(text: str) -> bool:
    """Whether anything of a prompt changes from step to step."""
    return any(not isinstance(node, str) for node in _parsed(text))


def parts(text: str) -> tuple[WeighedWords, ...]:
    """What AND joins, each with its weight; one part of weight 1 where there is no AND."""
    pieces = [piece for piece in _AND.split(text) if piece.strip()]
    if len(pieces) < 2:
        return (WeighedWords("".join(pieces) if _AND.search(text) else text, 1.0),)
    found = [(piece, _WEIGHT.fullmatch(piece)) for piece in pieces]
    return tuple(WeighedWords(piece, 1.0) if by is None else WeighedWords(by[1], float(by[2])) for piece, by in found)


def joined(text: str) -> str:
    """A prompt as it reads where nothing can be weighed against anything."""
    return ", ".join(part.text.strip() for part in parts(text)) if _AND.search(text) else text


def chunks(weighed: Sequence[WeighedWords]) -> list[list[WeighedWords]]:
    """The weighed words of a prompt between its BREAKs; one list where there are none."""
    lists: list[list[WeighedWords]] = [[]]
    for part in weighed:
        first, *others = _BREAK.split(part.text)
        lists[-1].append(WeighedWords(first, part.weight))
        lists += [[WeighedWords(other, part.weight)] for other in others]
    return [[part for part in one if part.text] for one in lists] if len(lists) > 1 else [[*weighed]]


def unbroken(text: str) -> str:
    """A prompt as it reads without its BREAKs."""
    return _BREAK.sub(" ", text).strip() if _BREAK.search(text) else text


def breaks(text: str) -> bool:
    """Whether a prompt has a BREAK in it."""
    return _BREAK.search(text) is not None


def schedule_problem(text: str, steps: int) -> Reason | None:
    """Why no model can follow words that change and are joined so; None where one can."""
    joined_ = parts(text)
    if len(joined_) > MAX_PARTS:
        return because("joined_parts", count=len(joined_), most=MAX_PARTS)
    for part in joined_:
        if not -MAX_WEIGHT <= part.weight <= MAX_WEIGHT:
            return because("joined_weight", value=part.weight, typed=part.text.strip(), most=MAX_WEIGHT)
    texts = {words for part in joined_ for _, words in at_steps(part.text, steps)}
    if len(texts) > MAX_TEXTS:
        return because("scheduled_texts", count=len(texts), most=MAX_TEXTS)
    return None


def _parsed(text: str) -> list[_Node]:
    return _Parser([match[0] for match in _TOKENS.finditer(text)]).nodes()


class _Parser:
    """The signs of one prompt."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._closes, within = matched(tokens, _PAIRS)
        self._cuts: dict[tuple[int, str], list[int]] = {}
        """Where a bracket has this sign right within it."""
        for place, (token, opener) in enumerate(zip(tokens, within, strict=True)):
            if opener is not None and plain(token) in (":", "|"):
                self._cuts.setdefault((opener, plain(token)), []).append(place)

    def nodes(self, begin: int = 0, end: int | None = None, depth: int = 0) -> list[_Node]:
        nodes: list[_Node] = []
        place = begin
        while place < (len(self._tokens) if end is None else end):
            node = self._bracket(place, depth) if depth < MAX_DEPTH and place in self._closes else None
            nodes.append(self._tokens[place] if node is None else node)
            place = place + 1 if node is None else self._closes[place] + 1
        return list(_merged(nodes))

    def _bracket(self, open_: int, depth: int) -> _Node | None:
        """What changes in a bracket; None where it is one that weighs."""
        close = self._closes[open_]
        if plain(self._tokens[open_]) != "[":
            return None
        if bars := self._cuts.get((open_, "|")):
            return _Turns(self._pieces(open_, bars, close, depth))
        colons = self._cuts.get((open_, ":"), [])
        when = _WHEN.fullmatch("".join(self._tokens[colons[-1] + 1 : close])) if len(colons) in (1, 2) else None
        if when is None:
            return None
        words = self._pieces(open_, colons[:-1], colons[-1], depth)
        return _Change(words[0] if len(words) == 2 else [], words[-1], when[1])

    def _pieces(self, open_: int, cuts: Sequence[int], end: int, depth: int) -> list[list[_Node]]:
        edges = [open_, *cuts, end]
        return [self.nodes(a + 1, b, depth + 1) for a, b in pairwise(edges)]


def _at(nodes: Iterable[_Node], step: int, steps: int, second: bool) -> str:
    said = []
    for node in nodes:
        match node:
            case _Change():
                share = "." in node.when
                when = int((float(node.when) - second) * steps) if share else 0 if second else int(node.when)
                said.append(_at(node.before if step < when else node.after, step, steps, second))
            case _Turns():
                said.append(_at(node.options[step % len(node.options)], step, steps, second))
            case _:
                said.append(node)
    return "".join(said)


def _merged(nodes: Iterable[_Node]) -> Iterable[_Node]:
    for is_text, group in groupby(nodes, key=lambda node: isinstance(node, str)):
        if is_text:
            yield "".join(str(node) for node in group)
        else:
            yield from group
