"""The fixed sets of prompts that models are measured with, by name, and which of them a model is asked.

A set never changes under its name: figures from then and from now could not be compared. One that is better gets
another number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from PIL import Image

from inference.errors import SettingsError


class Asked(Protocol):
    """What is painted, and the seed of its noise."""

    @property
    def text(self) -> str: ...

    @property
    def seed(self) -> int: ...


One = TypeVar("One", bound=Asked)


class PromptSet(Protocol[One]):
    """A set of prompts, and what is known of the pictures that it asks for."""

    name: str
    usual: int
    """How many of it are painted unless somebody says otherwise."""

    @property
    def home(self) -> Path | None:
        """The folder of models that know no other words than those of this set; None where it is for all others."""

    def asked(self, number: int) -> Sequence[One]:
        """The first so many."""

    def judged(self, asked: Sequence[One], pictures: Iterator[Image.Image]) -> Mapping[str, Sequence[bool]]:
        """What can be right in these pictures, and of each that asks for it whether it is."""

    def kinds(self, pictures: Iterator[Image.Image]) -> Iterator[Sequence[float]]:
        """The shares of the kinds of things that each picture may show, together 1; nothing where nobody can tell."""

    def references(self, asked: Sequence[One]) -> Iterator[Image.Image]:
        """Pictures as they should be, which no model made; nothing where there are none."""


@dataclass(frozen=True)
class Line:
    text: str
    seed: int


EASEL_1 = (
    "a red apple on a wooden table",
    "a blue bicycle leaning against a brick wall",
    "two white cups on a green tablecloth",
    "three yellow balloons in a clear sky",
    "a black cat asleep on a windowsill",
    "a golden retriever running through shallow water",
    "an old lighthouse on a cliff in a storm",
    "a wooden rowing boat on a calm lake at dawn",
    "a narrow street in a medieval town after rain",
    "a snowy forest under a full moon",
    "a steam train crossing a stone viaduct",
    "a bowl of ramen with a soft-boiled egg, seen from above",
    "a slice of chocolate cake with raspberries",
    "a portrait of an old fisherman with a grey beard",
    "a young woman in a yellow raincoat holding an umbrella",
    "a child flying a kite on a beach",
    "an astronaut riding a horse",
    "a robot watering sunflowers",
    "a dragon curled around a castle tower",
    "a glass jar full of fireflies in the dark",
    "a red cube on top of a blue sphere",
    "a small dog to the left of a large chair",
    "a green pear between two oranges",
    "a shop sign that says OPEN",
    "a hummingbird drinking from a flower, close up",
    "a lion in tall grass, wildlife photograph",
    "a whale jumping out of the sea at sunset",
    "an orchard in blossom, impressionist oil painting",
    "a mountain village, watercolour",
    "a fox in the woods, flat vector illustration",
    "a knight with a shield, pixel art",
    "a harbour with fishing boats, woodblock print",
    "a city skyline at night with reflections in a river",
    "a desert road that leads to distant mountains",
    "a greenhouse full of tropical plants, morning light",
    "the interior of a cosy library with a fireplace",
    "a vintage typewriter on a desk, black and white photograph",
    "a paper crane on a stack of books",
    "a cutaway drawing of a mechanical watch",
    "a field of lavender beneath a cloudy sky",
)  # fmt: skip


class Words:
    """Prompts of which nothing is known but their words; once all were painted they come again with other seeds."""

    home = None

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        self.name = name
        self.usual = len(lines)
        self._lines = lines

    def asked(self, number: int) -> Sequence[Asked]:
        """The first so many, each with its place as its seed."""
        return [Line(self._lines[place % len(self._lines)], place) for place in range(number)]

    def judged(self, asked: Sequence[Asked], pictures: Iterator[Image.Image]) -> Mapping[str, Sequence[bool]]:
        """Nobody can tell."""
        return {}

    def kinds(self, pictures: Iterator[Image.Image]) -> Iterator[Sequence[float]]:
        """Nobody can tell."""
        return iter(())

    def references(self, asked: Sequence[Asked]) -> Iterator[Image.Image]:
        """There are none."""
        return iter(())


def sets() -> dict[str, PromptSet[Any]]:
    """All of them by their names; the first is for whatever model no other is for."""
    # Imported here: what it knows of its world takes torch.
    from starter.quality import HeldOut

    all_of_them: list[PromptSet[Any]] = [Words("easel-1", EASEL_1), HeldOut()]
    return {one.name: one for one in all_of_them}


def choose(named: str | None, weights: Path) -> PromptSet[Any]:
    """The set of this name, else that for a model whose weights lie there. Raises SettingsError for any other name."""
    known = sets()
    if named is not None:
        if named not in known:
            raise SettingsError(f"--prompts {named}: there is no such set of prompts, choose one of {', '.join(known)}")
        return known[named]
    own = (one for one in known.values() if one.home is not None and weights.resolve().is_relative_to(one.home))
    return next(own, next(iter(known.values())))
