"""Weights in prompts, as AUTOMATIC1111 reads them. Pure: text in, text out.

    (word)  ((word))  (word:1.3)  [word]      1.1 times, 1.21 times, 1.3 times, 1 / 1.1 times as much of it
    \\(  \\)  \\[  \\]  \\{  \\}  \\|  \\:  \\\\      the sign itself

Brackets that do not close are plain text. What changes from step to step is resolved before (`schedules`).
"""

from __future__ import annotations

import re

import msgspec

from inference.protocol.brackets import plain
from inference.protocol.reasons import Reason, because

STRONGER, WEAKER = 1.1, 1 / 1.1

MAX_WEIGHT = 10.0
MAX_WEIGHED_PARTS = 40
"""The text encoder runs once more for every part of less weight than 1."""

# A backslash with the sign after it, an opening bracket, a weight with the bracket that it closes, a closing bracket,
# and whatever else there is.
_WEIGHTS = re.compile(
    r"\\.?|[(\[（［]|[:：]\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*[)）]|[)\]）］]|[^\\()\[\]:（）［］：]+|[:：]", re.DOTALL
)


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
        written, number = match[0], match[1]
        token = plain(written)
        bracket = "[" if token == "]" else "("
        if (number or token in (")", "]")) and opened[bracket]:
            start = opened[bracket].pop()
            factor = float(number) if number else WEAKER if bracket == "[" else STRONGER
            texts[start] = ""
            weights[start:] = [weight * factor for weight in weights[start:]]
            continue
        if token in opened:
            opened[token].append(len(texts))
        texts.append(_unescaped(written))
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


def _unescaped(token: str) -> str:
    return token[1] if len(token) == 2 and token[0] == "\\" and token[1] in "()[]{}|:\\" else token


def _merged(texts: list[str], weights: list[float]) -> tuple[WeighedWords, ...]:
    parts: list[WeighedWords] = []
    for text, weight in zip(texts, weights, strict=True):
        if parts and parts[-1].weight == weight:
            parts[-1] = WeighedWords(parts[-1].text + text, weight)
        elif text:
            parts.append(WeighedWords(text, weight))
    return tuple(parts)
