"""What the bot asks of the engine to be painted."""

from __future__ import annotations

import msgspec

from inference.protocol.task import Input, Task
from inference.protocol.words import draw_words

MAX_SEED = 2**64 - 1
"""Seeds are what `torch.Generator.manual_seed` takes without a sign: 0 to 2^64 - 1."""

MAX_CELLS = 16
"""Of a grid."""

PLACE = "{prompt}"
"""Where a style's words put the prompt."""

MAX_STYLE_CHARS = 2000
"""Of a style's prompt and negative prompt, each."""


class Variation(msgspec.Struct, frozen=True):
    """One step aside from a picture's noise: spherical interpolation towards the noise of another seed."""

    seed: int
    strength: float
    """0 leaves the noise as it is, 1 replaces it."""


class Style(msgspec.Struct, frozen=True):
    """Ready-made words around a prompt, as they were when it was chosen."""

    name: str
    title: str
    prompt: str
    """With `{prompt}` in the prompt's place."""
    negative: str = ""


class Lora(msgspec.Struct, frozen=True):
    """A LoRA of the catalogue beside the model, and how strongly; 0 leaves the model as it is."""

    name: str
    weight: float


class Control(msgspec.Struct, frozen=True):
    """A ControlNet of the catalogue, the picture whose lines (or depth, or pose) it follows, and how closely."""

    name: str
    image: Input
    weight: float = 1.0
    """0 follows nothing."""


class Imagine(Task, frozen=True, kw_only=True, tag="imagine"):
    """Paint `count` pictures from words.

    Picture `i` starts from the noise of seed `seed + i` (modulo 2^64). With `variations`, all pictures start
    from the noise of `seed`, the variations are applied in order, and the last one's seed counts up instead.

    With an `image`, painting starts from that picture under as much noise as `strength` says.

    The prompts are as members write them (`protocol.words`): every picture draws its own words.
    """

    prompt: str
    negative: str = ""
    style: Style | None = None
    seed: int
    steps: int
    guidance: float
    sampler: str
    width: int
    height: int
    count: int = 1
    variations: tuple[Variation, ...] = ()
    image: Input | None = None
    strength: float = 1.0
    """Of the `image`: near 0 it hardly changes, at 1 nothing of it is left. Only that share of the steps is taken."""
    loras: tuple[Lora, ...] = ()
    control: Control | None = None
    mask: Input | None = None
    """Of the `image`'s size: only what is white in it is painted, all else of the image stays bit for bit."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The pictures to start from, to keep to and to follow, if there are any."""
        wanted = (self.image, self.mask, self.control.image if self.control else None)
        return tuple(image for image in wanted if image is not None)

    def seed_of(self, index: int) -> int:
        """The seed that alone tells the picture `index` from its neighbours."""
        first = self.variations[-1].seed if self.variations else self.seed
        return (first + index) % (MAX_SEED + 1)

    @property
    def styled(self) -> tuple[str, str]:
        """The prompt and the negative prompt with the words of the style."""
        if self.style is None:
            return self.prompt, self.negative
        negatives = (self.negative, self.style.negative)
        return self.style.prompt.replace(PLACE, self.prompt), ", ".join(words for words in negatives if words)

    def drawn(self, seed: int) -> tuple[str, str]:
        """The prompt and the negative prompt that the picture of this seed is painted from."""
        prompt, negative = self.styled
        return draw_words(prompt, seed), draw_words(negative, seed)

    @property
    def steps_taken(self) -> int:
        """How many of the steps are taken for each picture: all of them where there is no image to start from."""
        return self.steps if self.image is None else max(1, int(self.steps * self.strength))

    @property
    def places(self) -> int:
        """One for each picture."""
        return self.count

    @property
    def pass_key(self) -> tuple[object, ...]:
        """Equal for requests that can share one forward pass."""
        start = None if self.image is None else (self.strength, self.mask is None)
        follow = None if self.control is None else (self.control.name, self.control.weight)
        how = (self.width, self.height, self.steps, self.sampler, self.guidance)
        return (self.model, self.loras, follow, *how, start)

    @property
    def work(self) -> float:
        """Pixels times steps."""
        return float(self.width * self.height * self.steps_taken * self.count)


class Grid(Task, frozen=True, kw_only=True, tag="grid"):
    """Paint pictures that differ in one or two things, and show them as a table with labels."""

    cells: tuple[Imagine, ...]
    """Row by row; each of one picture."""
    columns: tuple[str, ...]
    """Labels at the top."""
    rows: tuple[str, ...] = ("",)
    """Labels at the left."""

    @property
    def places(self) -> int:
        """One for each cell."""
        return len(self.cells)

    @property
    def work(self) -> float:
        """That of all cells."""
        return sum(cell.work for cell in self.cells)
