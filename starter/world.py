"""The small world the starter models know: its words, a Scene made of them, and the pairs that are held out.

No drawing lives here (see `render`) and no sentences (see `captions`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

THINGS = (
    "house", "boat", "tree", "car", "fish", "flower", "mushroom", "robot",
    "star", "heart", "bird", "balloon", "cup", "rocket", "cat", "umbrella",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black")
PLACES = ("meadow", "sea", "desert", "snow", "city", "beach", "mountains", "space")
TIMES = ("day", "sunset", "night")
STYLES = ("flat", "cartoon", "pixel", "watercolour")
# Only the style LoRA is taught this one; no other model's pictures or captions have it.
LORA_STYLE = "neon"
SIZES = ("small", "medium", "large")
COUNTS = (1, 2, 3)
WORDS = (
    "HI", "GO", "UP", "NO", "OK", "WOW", "YES", "ART", "BAR", "FUN", "NEW", "SUN", "TEA", "ZOO", "TOP", "BUS",
    "OPEN", "CAFE", "SALE", "STOP", "LOVE", "2026", "FISH", "HOME", "KIDS", "LUCK", "PARK", "QUIZ", "TAXI", "BIKE",
    "HELLO", "MUSIC", "PIZZA", "HAPPY", "BOOKS", "WATER",
)  # fmt: skip

# Never in any training picture or caption: what the models make of these shows that they compose, not recall.
HELD_OUT = frozenset(
    {
        ("cat", "green"),
        ("fish", "purple"),
        ("tree", "pink"),
        ("car", "yellow"),
        ("star", "blue"),
        ("robot", "orange"),
        ("mushroom", "white"),
        ("rocket", "brown"),
    }
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture's whole content: every attribute, and the seed of what no word says (clouds, exact places).

    With `blend` the thing's paint is halfway to that second colour, and no caption names a colour.
    """

    thing: str
    colour: str
    count: int = 1
    size: str = "medium"
    place: str = "meadow"
    time: str = "day"
    style: str = "flat"
    word: str | None = None
    blend: str | None = None
    seed: int = 0

    @classmethod
    def sample(
        cls,
        rng: random.Random,
        *,
        counts: Sequence[int] = COUNTS,
        sizes: Sequence[str] = SIZES,
        held_out: bool = False,
        word_share: float = 0.0,
    ) -> Scene:
        """Draw a scene at random; only held-out pairs if `held_out`, else never one of them.

        `word_share` is the share of scenes that carry a painted word.
        """
        while True:
            thing, colour = rng.choice(THINGS), rng.choice(COLOURS)
            if ((thing, colour) in HELD_OUT) == held_out:
                break
        place = rng.choice(PLACES)
        return cls(
            thing=thing,
            colour=colour,
            count=rng.choice(counts),
            size=rng.choice(sizes),
            place=place,
            # Space knows no sunset: its sky is always a night sky.
            time="night" if place == "space" else rng.choice(TIMES),
            style=rng.choice(STYLES),
            word=rng.choice(WORDS) if rng.random() < word_share else None,
            seed=rng.randrange(2**31),
        )
