"""What members can write into a prompt: weights, as AUTOMATIC1111 reads them, and wildcards. Pure: text in, text out.

    (word)  ((word))  (word:1.3)  [word]      1.1 times, 1.21 times, 1.3 times, 1 / 1.1 times as much of it
    {red|blue|}                               one of them for every picture; they may hold others, or nothing
    \\(  \\)  \\[  \\]  \\{  \\}  \\|  \\\\          the sign itself

Brackets that do not close, and braces without a bar, are plain text.
"""

from __future__ import annotations

import random
import re

import msgspec

from inference.protocol.reasons import Reason, because

STRONGER, WEAKER = 1.1, 1 / 1.1

MAX_WEIGHT = 10.0
MAX_WEIGHED_PARTS = 40
"""The text encoder runs once more for every part of less weight than 1."""

# A backslash with the sign after it, an opening bracket, a weight with the bracket that it closes, a closing bracket,
# and whatever else there is.
_WEIGHTS = re.compile(r"\\.?|[(\[]|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|[)\]]|[^\\()\[\]:]+|:", re.DOTALL)
_CHOICES = re.compile(r"\\.?|[{|}]|[^\\{|}]+", re.DOTALL)


class WeighedWords(msgspec.Struct, frozen=True):
    """A part of a prompt, and how much of it there shall be; 1 is the ordinary weight."""

    text: str
    weight: float


def weigh_words(text: str) -> tuple[WeighedWords, ...]:
    """The parts of a prompt in their order, without the signs that weigh them; neighbours differ in weight.

    An empty prompt has no parts.
    """
    texts: list[str] = []
    weights: list[float] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _WEIGHTS.finditer(text):
        token, number = match[0], match[1]
        bracket = "[" if token == "]" else "("
        if (number or token in (")", "]")) and opened[bracket]:
            start = opened[bracket].pop()
            factor = float(number) if number else WEAKER if bracket == "[" else STRONGER
            texts[start] = ""
            weights[start:] = [weight * factor for weight in weights[start:]]
            continue
        if token in opened:
            opened[token].append(len(texts))
        texts.append(_unescaped(token))
        weights.append(1.0)
    return _merged(texts, weights)


def plain_words(text: str) -> str:
    """A prompt as it reads without its weights."""
    return "".join(part.text for part in weigh_words(text))


def weight_problem(text: str) -> Reason | None:
    """Why no model can read words that are weighed so; None where one can."""
    parts = [part for part in weigh_words(text) if part.weight != 1]
    if len(parts) > MAX_WEIGHED_PARTS:
        return because("weighed_parts", count=len(parts), most=MAX_WEIGHED_PARTS)
    for part in parts:
        if not 0 <= part.weight <= MAX_WEIGHT:
            return because("word_weight", value=part.weight, typed=part.text.strip(), most=MAX_WEIGHT)
    return None


def draw_words(text: str, seed: int) -> str:
    """The prompt with one alternative of each of its wildcards, always the same for the same seed.

    Its backslashes stay, so that drawing from what was drawn changes nothing.
    """
    chance = random.Random(seed)
    # Every open brace as its alternatives so far; at the bottom the text around them all.
    open_: list[list[str]] = [[""]]
    for match in _CHOICES.finditer(text):
        token = match[0]
        if token == "{":
            open_.append([""])
        elif token == "|" and len(open_) > 1:
            open_[-1].append("")
        elif token == "}" and len(open_) > 1:
            alternatives = open_.pop()
            # `random()` gives the same numbers for the same seed in every version of Python.
            chosen = alternatives[int(chance.random() * len(alternatives))]
            open_[-1][-1] += chosen if len(alternatives) > 1 else f"{{{chosen}}}"
        else:
            open_[-1][-1] += token
    while len(open_) > 1:
        alternatives = open_.pop()
        open_[-1][-1] += "{" + "|".join(alternatives)
    return open_[0][0]


def _unescaped(token: str) -> str:
    return token[1] if len(token) == 2 and token[0] == "\\" and token[1] in "()[]{}|\\" else token


def _merged(texts: list[str], weights: list[float]) -> tuple[WeighedWords, ...]:
    parts: list[WeighedWords] = []
    for text, weight in zip(texts, weights, strict=True):
        if parts and parts[-1].weight == weight:
            parts[-1] = WeighedWords(parts[-1].text + text, weight)
        elif text:
            parts.append(WeighedWords(text, weight))
    return tuple(parts)
