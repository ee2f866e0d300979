"""What there is to say about a scene: the right answer to each of Florence-2's tasks, in its own text format.

Places are in pixels of the 64 px picture and are said in whole pixels, as those of Florence's thousand location
tokens that lie on pixel edges: a small model learns 65 places far sooner than a thousand.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np

from starter.captions import NOUNS, PLACES, SIZES, STYLES, TIMES, plural
from starter.render import sign_box, silhouettes
from starter.world import COLOURS, THINGS, Scene

SIDE = 64
CORNERS = 12
TELLING = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>", "<OCR>")
BOXING = ("<OD>", "<OCR_WITH_REGION>", "<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>")
OUTLINING = ("<REFERRING_EXPRESSION_SEGMENTATION>",)
TASKS = (*TELLING, *BOXING, *OUTLINING)
# These are asked with a phrase.
PHRASED = frozenset({"<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>", *OUTLINING})
NUMBERS = {2: "two", 3: "three"}
SIDES = {2: ("left", "right"), 3: ("left", "middle", "right")}

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Truth:
    """A scene and where its things and its sign are, left to right; boxes in pixels of a 64 px picture."""

    scene: Scene
    masks: np.ndarray  # bool, (count, 64, 64)
    boxes: tuple[Box, ...]
    sign: Box | None

    def outlines(self) -> list[list[tuple[float, float]]]:
        """Every thing's outline as CORNERS corners in pixels."""
        return [outline_in(box, self.scene.thing) for box in self.boxes]


def truth_of(scene: Scene) -> Truth:
    """Where everything in the scene is."""
    masks = np.stack(silhouettes(scene, SIDE))
    sign: Box | None = None
    if scene.word is not None:
        left, top, right, bottom = sign_box(scene, SIDE)
        sign = (max(0.0, left), max(0.0, top), min(float(SIDE), right), min(float(SIDE), bottom))
    return Truth(scene, masks, tuple(box_of(mask) for mask in masks), sign)


def box_of(mask: np.ndarray) -> Box:
    """The smallest box about a bool mask's pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def outline_in(box: Box, thing: str) -> list[tuple[float, float]]:
    """The outline of a thing that fills this box, in pixels."""
    left, top, right, bottom = box
    return [(left + x * (right - left), top + y * (bottom - top)) for x, y in template(thing)]


@cache
def template(thing: str) -> tuple[tuple[float, float], ...]:
    """The thing's outline in few corners, as shares of its box, always the same ones in the same order.

    Simplifying each picture's own silhouette would choose other corners every time, which nobody could foresee.
    """
    side = 256
    mask = silhouettes(Scene(thing, "red", size="large"), side)[0]
    left, top, right, bottom = box_of(mask)
    # Closed, so that a gap does not split it; a little wider, as corners cut off what is round.
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    contours, _ = cv2.findContours(
        cv2.dilate(closed, np.ones((5, 5), np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    contour = max(contours, key=cv2.contourArea)
    slack = 1.0
    while len(corners := cv2.approxPolyDP(contour, slack, True)) > CORNERS:
        slack *= 1.02
    points = corners.reshape(-1, 2) + 0.5
    points = (points - (left, top)) / (right - left, bottom - top)
    points = np.roll(points, -int(points.sum(1).argmin()), axis=0)
    while len(points) < CORNERS:
        # As many for every thing, so that a place's position in the answer says which corner it is.
        edges = np.roll(points, -1, axis=0) - points
        longest = int((edges**2).sum(1).argmax())
        points = np.insert(points, longest + 1, points[longest] + edges[longest] / 2, axis=0)
    return tuple((float(x), float(y)) for x, y in points)


def bin_of(pixel: float) -> int:
    """The location token's number for a pixel edge, 0 to 64.

    Rounded up, so that what the processor computes back, rounded down to whole pixels, is the same edge.
    """
    return min(999, math.ceil(min(max(round(pixel), 0), SIDE) * 1000 / SIDE))


def locations(*pixels: float) -> str:
    """Location tokens for pixel edges."""
    return "".join(f"<loc_{bin_of(pixel)}>" for pixel in pixels)


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def told(scene: Scene, with_size: bool = False) -> str:
    """The things of the scene: "a red house", "two small blue boats"."""
    size = f"{SIZES[scene.size][0]} " if with_size and scene.size != "medium" else ""
    if scene.count == 1:
        return article(f"{size}{scene.colour} {scene.thing}")
    return f"{NUMBERS[scene.count]} {size}{scene.colour} {plural(scene.thing)}"


def say(task: str, scene: Scene) -> str:
    """The answer to a task of TELLING; `<OCR>` of a picture without a word is empty."""
    place, style = PLACES[scene.place][0], STYLES[scene.style][0]
    if task == "<OCR>":
        return scene.word or ""
    if task == "<CAPTION>":
        return f"{told(scene)} {place}"
    head = f"{told(scene, with_size=True)} {place}"
    # Nobody says that it is night in space.
    time = "" if scene.place == "space" else f" {TIMES[scene.time][0]}"
    if task == "<DETAILED_CAPTION>":
        sign = f', with a sign that says "{scene.word}"' if scene.word else ""
        return f"{head}{time}, {style}{sign}"
    sign = f' A sign says "{scene.word}".' if scene.word else " There is no sign."
    return f"The image shows {head}{time}. It is painted as {style}.{sign}"


def answer(task: str, truth: Truth, phrase: str = "", things: tuple[int, ...] = (), sign: bool = False) -> str:
    """The right answer to a task. `things` and `sign` say what the phrase means; neither: nothing in the picture."""
    scene = truth.scene
    if task in TELLING:
        return say(task, scene)
    if task == "<OCR_WITH_REGION>":
        if truth.sign is None:
            return ""
        left, top, right, bottom = truth.sign
        return f"{scene.word}{locations(left, top, right, top, right, bottom, left, bottom)}"
    if task == "<OD>":
        return scene.thing + located(truth.boxes) + ("" if truth.sign is None else "sign" + located((truth.sign,)))
    asked = Question(phrase=phrase, things=things, sign=sign)
    return drawn(asked, truth.outlines(), truth.sign) if task in OUTLINING else boxed(asked, truth.boxes, truth.sign)


def drawn(asked: Question, outlines: Sequence[Sequence[tuple[float, float]]], sign: Box | None) -> str:
    """The answer that draws what is asked about, given the outlines of all things in the picture and the sign's box."""
    wanted = [outlines[number] for number in asked.things]
    if asked.sign and sign is not None:
        left, top, right, bottom = sign
        wanted.append([(left, top), (right, top), (right, bottom), (left, bottom)])
    return "<sep>".join(locations(*(pixel for corner in outline for pixel in corner)) for outline in wanted)


def boxed(asked: Question, boxes: Sequence[Box], sign: Box | None) -> str:
    """The answer that says what is asked about and in which of the picture's boxes it is; nothing, if it is in none."""
    signs = (sign,) if asked.sign and sign is not None else ()
    if not asked.things:
        return asked.phrase + located(signs) if signs else ""
    said = asked.phrase + located(tuple(boxes[number] for number in asked.things))
    return said + "a sign" + located(signs) if signs else said


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked with a task: the words, the phrase in them to be found, and what it means in the picture."""

    words: str = ""
    phrase: str = ""
    things: tuple[int, ...] = ()
    sign: bool = False


def ask_about(task: str, truth: Truth, rng: random.Random) -> Question:
    """A random question for a task of PHRASED; one in six is about something that the picture does not show."""
    scene, things = truth.scene, tuple(range(truth.scene.count))
    if task == "<CAPTION_TO_PHRASE_GROUNDING>":
        phrase = told(scene, rng.random() < 0.3)
        words = phrase + (f" {rng.choice(PLACES[scene.place])}" if rng.random() < 0.8 else "")
        sign = truth.sign is not None and rng.random() < 0.7
        return Question(words + (" with a sign" if sign else ""), phrase, things, sign)
    return ask_where(NOUNS[scene.thing], scene.colour, things, truth.sign is not None, partial(_absent, scene), rng)


def ask_where(
    nouns: Sequence[str],
    colour: str,
    numbers: tuple[int, ...],
    signed: bool,
    absent: Callable[[random.Random], tuple[str, str]],
    rng: random.Random,
) -> Question:
    """A random question about the things of these numbers, all of one colour and kind, or about one side of them.

    One in six is about noun and colour of something `absent`, some are about a sign, whether there is one or not.
    """
    roll = rng.random()
    if roll < 0.16:
        # With its colour, or the thing that is there in another colour would be meant.
        words = _phrase(*absent(rng), rng, several=rng.random() < 0.3, coloured=True)
        return Question(words, words)
    if roll < (0.32 if signed else 0.26) and roll >= 0.22:
        words = rng.choice(("sign", "the sign", "a sign"))
        return Question(words, words, (), signed)
    noun, several = rng.choice(nouns), len(numbers) > 1
    if several and rng.random() < 0.35:
        place = rng.randrange(len(numbers))
        side = SIDES[len(numbers)][place]
        named = f"{colour} {noun}" if rng.random() < 0.5 else noun
        where = "in the middle" if side == "middle" else f"on the {side}"
        words = rng.choice((f"the {side} {named}", f"the {named} {where}"))
        return Question(words, words, (numbers[place],))
    words = _phrase(noun, colour, rng, several=several, coloured=rng.random() < 0.65)
    return Question(words, words, numbers)


def _phrase(noun: str, colour: str, rng: random.Random, several: bool, coloured: bool) -> str:
    """A random way to mean things by their noun, and by their colour if they are `coloured`."""
    words = f"{colour} {noun}" if coloured else noun
    if several and rng.random() < 0.7:
        return rng.choice(("", "the ")) + (f"{colour} " if coloured else "") + plural(noun)
    return rng.choice((words, f"the {words}", article(words)))


def _absent(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """A thing that is not there, or the one that is there in a colour that it has not."""
    if rng.random() < 0.5:
        thing = rng.choice([thing for thing in THINGS if thing != scene.thing])
        return rng.choice(NOUNS[thing]), rng.choice(COLOURS)
    return rng.choice(NOUNS[scene.thing]), rng.choice([colour for colour in COLOURS if colour != scene.colour])


def located(boxes: tuple[Box, ...]) -> str:
    """Where things are, as it follows their name in an answer."""
    return "".join(locations(*box) for box in boxes)
