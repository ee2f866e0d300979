"""The right answers of the next set's caption model: of several different things, and in Chinese as well.

As `starter.answers`, whose notation it speaks. Told in Chinese is what is asked in Chinese.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from starter.answers import (
    OUTLINING,
    SIDE,
    TELLING,
    Box,
    Question,
    article,
    ask_where,
    box_of,
    boxed,
    drawn,
    located,
    locations,
    outline_in,
)
from starter.captions import NUMBERS, STYLES, STYLES_ZH, Shares, plural
from starter.next.captions import NOUNS, PLAIN, Telling, describe, describe_zh
from starter.next.render import outlined
from starter.next.signs import sign_box
from starter.next.tableau import THINGS, Subject, Tableau
from starter.world import COLOURS

# What the three tasks of telling are asked with in Chinese, the processor's own sentences being English.
ASKED_ZH = {
    "<CAPTION>": "图里有什么？",
    "<DETAILED_CAPTION>": "描述这幅图。",
    "<MORE_DETAILED_CAPTION>": "详细描述这幅图。",
}
BRIEF = Shares(1, 1, time=0, style=0, size=0, count=1)
UNSTYLED = Shares(1, 1, 1, style=0, size=1, count=1)


@dataclass(frozen=True, slots=True)
class Truth:
    """A tableau, and what and where its things are, left to right; boxes in pixels of a 64 px picture."""

    tableau: Tableau
    things: tuple[Subject, ...]
    masks: np.ndarray  # bool, (things, 64, 64)
    boxes: tuple[Box, ...]
    sign: Box | None

    def outlines(self) -> list[list[tuple[float, float]]]:
        """Every thing's outline, as many corners each."""
        return [outline_in(box, one.thing) for box, one in zip(self.boxes, self.things, strict=True)]

    def of(self, thing: str) -> tuple[int, ...]:
        """The numbers of these things."""
        return tuple(number for number, one in enumerate(self.things) if one.thing == thing)


def truth_of(tableau: Tableau) -> Truth:
    """Where everything in the tableau is to be seen."""
    masks = outlined(tableau, SIDE)
    alone = len(tableau.subjects) == 1
    shown = [(box_of(mask), tableau.subjects[0 if alone else n], mask) for n, mask in enumerate(masks) if mask.any()]
    shown.sort(key=lambda one: one[0])
    sign: Box | None = None
    if tableau.word is not None:
        left, top, right, bottom = sign_box(tableau.word, SIDE)
        sign = (max(0.0, left), max(0.0, top), min(float(SIDE), right), min(float(SIDE), bottom))
    boxes, things, seen = zip(*shown, strict=True)
    return Truth(tableau, things, np.stack(seen), boxes, sign)


def say(task: str, tableau: Tableau, chinese: bool = False) -> str:
    """The answer to a task of telling; what is read stands as it is in any language."""
    if task == "<OCR>":
        return tableau.word or ""
    unsigned, tell = replace(tableau, word=None), describe_zh if chinese else describe
    if task == "<CAPTION>":
        return tell(unsigned, BRIEF, Telling(0, 0, 0))
    if task == "<DETAILED_CAPTION>":
        return tell(tableau)
    told = tell(unsigned, UNSTYLED, PLAIN)
    if chinese:
        sign = f"牌子上写着“{tableau.word}”。" if tableau.word else "没有牌子。"
        return f"图里是{told}。{STYLES_ZH[tableau.style][0]}。{sign}"
    sign = f' A sign says "{tableau.word}".' if tableau.word else " There is no sign."
    return f"The image shows {told}. It is painted as {STYLES[tableau.style][0]}.{sign}"


def answer(task: str, truth: Truth, asked: Question, chinese: bool = False) -> str:
    """The right answer to a task that is asked with this; for tasks without words a question of none."""
    if task in TELLING:
        return say(task, truth.tableau, chinese)
    if task == "<OCR_WITH_REGION>":
        if truth.sign is None:
            return ""
        left, top, right, bottom = truth.sign
        return f"{truth.tableau.word}{locations(left, top, right, top, right, bottom, left, bottom)}"
    if task == "<OD>":
        kinds = dict.fromkeys(one.thing for one in truth.things)
        said = [kind + located(tuple(truth.boxes[n] for n in truth.of(kind))) for kind in kinds]
        return "".join(said) + ("" if truth.sign is None else "sign" + located((truth.sign,)))
    return drawn(asked, truth.outlines(), truth.sign) if task in OUTLINING else boxed(asked, truth.boxes, truth.sign)


def ask_about(task: str, truth: Truth, rng: random.Random) -> Question:
    """A random question for a task with words, about one kind of the things; one in six is about what is not there."""
    tableau = truth.tableau
    subject = rng.choice(tableau.subjects)
    numbers = truth.of(subject.thing)
    if task == "<CAPTION_TO_PHRASE_GROUNDING>":
        noun = NOUNS[subject.thing][0]
        if len(numbers) > 1:
            phrase = f"{NUMBERS[subject.count][0]} {subject.colour} {plural(noun)}"
        else:
            phrase = article(f"{subject.colour} {noun}")
        sign = truth.sign is not None and rng.random() < 0.5
        return Question(phrase + (" with a sign" if sign else ""), phrase, numbers, sign)
    absent = partial(_absent, tableau)
    return ask_where(NOUNS[subject.thing], subject.colour, numbers, truth.sign is not None, absent, rng)


def _absent(tableau: Tableau, rng: random.Random) -> tuple[str, str]:
    """A thing that is not there, or one that is there in a colour that it has not."""
    subject = rng.choice(tableau.subjects)
    if rng.random() < 0.5:
        there = {one.thing for one in tableau.subjects}
        return rng.choice(NOUNS[rng.choice([thing for thing in THINGS if thing not in there])]), rng.choice(COLOURS)
    return rng.choice(NOUNS[subject.thing]), rng.choice([colour for colour in COLOURS if colour != subject.colour])
