"""What the labels model reads while it learns: labels in many wordings, and captions that say chosen attributes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from starter import captions
from starter.captions import Shares, caption, caption_zh, plural
from starter.labels import COUNT_LABELS, COUNT_LABELS_ZH, VALUES
from starter.world import Scene

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


def label_texts(attribute: str, rng: random.Random, chinese: bool) -> list[str]:
    """A random wording of each of the attribute's values, all in one frame."""
    frame = rng.choice(FRAMES_ZH if chinese else FRAMES)
    say = _chinese if chinese else _english
    return [frame.format(say(attribute, value, rng)) for value in VALUES[attribute]]


def said_texts(scenes: list[Scene], rng: random.Random, said: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """Captions that say the thing and these attributes: every different one once, and each scene's caption's number.

    Scenes that agree in all that is said share a caption, so no caption is wrong for a scene but by what it says.
    """
    shares = Shares(**{name: float(name in said) for name in ("colour", "place", "time", "style", "size", "count")})
    texts: list[str] = []
    known: dict[tuple[object, ...], int] = {}
    numbers = []
    for scene in scenes:
        key = tuple(getattr(scene, name) for name in ("thing", *said))
        if key not in known:
            known[key] = len(texts)
            # What a sign says is not for labels; nor is a count that is not to be said.
            plain = replace(scene, word=None, count=scene.count if "count" in said else 1)
            texts.append((caption_zh if rng.random() < 0.5 else caption)(plain, rng, shares))
        numbers.append(known[key])
    return texts, numbers


def _english(attribute: str, value: object, rng: random.Random) -> str:
    if attribute == "thing":
        noun = rng.choice(captions.NOUNS[str(value)])
        return plural(noun) if rng.random() < 0.2 else noun
    if attribute == "count":
        number = int(str(value))
        return rng.choice((COUNT_LABELS[number], COUNT_LABELS[number].split()[0]))
    if attribute == "colour":
        colour = rng.choice(captions.COLOUR_WORDS.get(str(value), (str(value),)))
        return rng.choice((colour, colour, f"{colour} thing"))
    table = {"place": captions.PLACES, "time": captions.TIMES, "style": captions.STYLES, "size": captions.SIZES}
    phrase = rng.choice(table[attribute][str(value)])
    # "the beach" as well as "on the beach".
    if attribute == "place" and rng.random() < 0.25:
        return phrase.removeprefix("in front of ").split(" ", 1)[-1]
    return phrase


def _chinese(attribute: str, value: object, rng: random.Random) -> str:
    if attribute == "thing":
        return captions.NOUNS_ZH[str(value)][0]
    if attribute == "count":
        return COUNT_LABELS_ZH[int(str(value))]
    if attribute == "colour":
        return captions.COLOURS_ZH[str(value)] + rng.choice(("", "", "的"))
    table: Mapping[str, Mapping[str, tuple[str, ...]]] = {
        "place": captions.PLACES_ZH,
        "time": captions.TIMES_ZH,
        "style": captions.STYLES_ZH,
        "size": captions.SIZES_ZH,
    }
    return rng.choice(table[attribute][str(value)])
