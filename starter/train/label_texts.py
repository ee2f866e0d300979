"""What the labels model reads while it learns: labels in many wordings, and captions that say chosen attributes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from starter.captions import Shares, caption, caption_zh, plural
from starter.labels import NAMING, Naming
from starter.world import Scene

S = TypeVar("S")

# More wordings than anybody asks with, so that the answer does not hang on one of them.
FRAMES = (
    "{}", "{}", "{}", "a {}", "a picture of {}", "a picture of a {}", "picture of {}", "an image of {}",
    "an image of a {}", "a photo of a {}", "this is a photo of {}.",
)  # fmt: skip
FRAMES_ZH = ("{}", "{}", "{}的图片", "一张{}的图片")
# Which attributes the captions of one batch say; the thing is always said.
SAID: tuple[tuple[str, ...], ...] = (
    ("colour",), ("colour",), ("count",), ("place",), ("time",), ("style",), ("size",), ("colour", "count"),
    ("colour", "size"), ("colour", "place"), ("place", "time"), ("colour", "place", "time"),
    ("colour", "count", "place", "time", "style", "size"),
)  # fmt: skip


def label_texts(attribute: str, rng: random.Random, chinese: bool, naming: Naming[Any] = NAMING) -> list[str]:
    """A random wording of each of the attribute's values, all in one frame."""
    frame = rng.choice(FRAMES_ZH if chinese else FRAMES)
    words, say = (naming.chinese, _chinese) if chinese else (naming.english, _english)
    return [frame.format(say(attribute, words[attribute][value], rng)) for value in naming.values[attribute]]


def said_texts(
    scenes: Sequence[S],
    rng: random.Random,
    said: tuple[str, ...],
    naming: Naming[S],
    tell: Callable[[S, random.Random, tuple[str, ...]], str],
) -> tuple[list[str], list[int]]:
    """Captions that say the thing and these attributes: every different one once, and each scene's caption's number.

    Scenes that agree in all that is said share a caption, so no caption is wrong for a scene but by what it says.
    `tell` says one of them.
    """
    texts: list[str] = []
    known: dict[tuple[object, ...], int] = {}
    numbers = []
    for scene in scenes:
        key = tuple(naming.value(scene, name) for name in ("thing", *said))
        if key not in known:
            known[key] = len(texts)
            texts.append(tell(scene, rng, said))
        numbers.append(known[key])
    return texts, numbers


def tell(scene: Scene, rng: random.Random, said: tuple[str, ...]) -> str:
    """A caption in one of the two languages that says the thing and these attributes alone."""
    # What a sign says is not for labels; nor is a count that is not to be said.
    plain = replace(scene, word=None, count=scene.count if "count" in said else 1)
    return (caption_zh if rng.random() < 0.5 else caption)(plain, rng, shares_of(said))


def shares_of(said: tuple[str, ...]) -> Shares:
    """That these attributes are said and no others."""
    return Shares(**{name: float(name in said) for name in ("colour", "place", "time", "style", "size", "count")})


def _english(attribute: str, ways: tuple[str, ...], rng: random.Random) -> str:
    phrase = rng.choice(ways)
    if attribute == "thing":
        return plural(phrase) if rng.random() < 0.2 else phrase
    if attribute == "colour":
        return rng.choice((phrase, phrase, f"{phrase} thing"))
    # "the beach" as well as "on the beach".
    if attribute == "place" and rng.random() < 0.25:
        return phrase.removeprefix("in front of ").split(" ", 1)[-1]
    return phrase


def _chinese(attribute: str, ways: tuple[str, ...], rng: random.Random) -> str:
    return rng.choice(ways) + (rng.choice(("", "", "的")) if attribute == "colour" else "")
