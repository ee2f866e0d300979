"""What the bot asks of the engine to be painted."""

from __future__ import annotations

import math
import string

import msgspec
from msgspec.structs import replace

from inference.protocol.add_ons import OwnLora
from inference.protocol.task import Input, Task
from inference.protocol.wildcards import Lines, draw_words

MAX_SEED = 2**64 - 1
"""Seeds are what `torch.Generator.manual_seed` takes without a sign: 0 to 2^64 - 1."""

MAX_CELLS = 16
"""Of a grid."""

PLACE = "{prompt}"
"""Where a style's words put the prompt."""

MAX_STYLE_CHARS = 2000
"""Of a style's prompt and negative prompt, each."""


def enough_steps(steps: int, strength: float) -> int:
    """So many steps, or as many as it takes for one of them to be as far from a picture as the strength says."""
    return max(steps, math.ceil(1 / strength))


ANY_PICTURE = Input("", 0, 0)
"""In the place of one, where it does not matter which."""

OF_ONE_PICTURE = frozenset(
    {
        *("job", "safety", "prompt", "negative", "style", "seed", "count", "variations"),
        *("image", "mask", "control", "control2"),
    }
)
"""What of a request may differ within one forward pass: words, seeds, how many, and inputs.

Whatever else there is, or will be, must be the same: so nobody's picture is painted with another member's setting.
"""


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
    words: float | None = None
    """How strongly in the text encoders, where that is otherwise."""


class Drawn(msgspec.Struct, frozen=True):
    """What one picture is painted from, where something was left to chance: its words and its LoRAs."""

    prompt: str
    negative: str
    loras: tuple[Lora, ...] = ()


class Control(msgspec.Struct, frozen=True):
    """A ControlNet of the catalogue, the picture whose lines (or depth, or pose) it follows, and how closely."""

    name: str
    image: Input
    weight: float = 1.0
    """0 follows nothing."""


class Hires(msgspec.Struct, frozen=True):
    """A second pass over what was painted, enlarged to this size: what the first one composed gets finer."""

    width: int
    height: int
    strength: float
    """As `Imagine.strength`, of the picture that the first pass painted."""


class Refiner(msgspec.Struct, frozen=True):
    """A network of the catalogue that was trained for the last steps alone, and the share of them that it takes."""

    name: str
    share: float


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
    own_loras: tuple[OwnLora, ...] = ()
    """What those of `loras`, and of the tags that are left in its words, mean that members have trained."""
    control: Control | None = None
    control2: Control | None = None
    """What is followed at the same time."""
    mask: Input | None = None
    """Of the `image`'s size: only what is white in it is painted, all else of the image stays bit for bit."""
    hires: Hires | None = None
    refiner: Refiner | None = None
    references: tuple[Input, ...] = ()
    """Pictures that the model sees beside the words, which speak of them: the first one is what an instruction is done
    to. Where one of them is the `image` and has a mask, only the part around that is shown."""
    clip_skip: int | None = None
    """At which of the text encoder's layers, counted from its end, its states are taken; None for the usual one."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The pictures to start from, to keep to, to follow and to see beside the words, if there are any."""
        wanted = (self.image, self.mask, *(control.image for control in self.controls), *self.references)
        return tuple(image for image in wanted if image is not None)

    @property
    def lora_files(self) -> tuple[str, ...]:
        """Those of members' own LoRAs."""
        return tuple(own.sha256 for own in self.own_loras)

    @property
    def controls(self) -> tuple[Control, ...]:
        """All that is followed."""
        return tuple(control for control in (self.control, self.control2) if control is not None)

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

    def drawn(self, seed: int, lines: Lines | None = None) -> tuple[str, str]:
        """The prompt and the negative prompt that the picture of this seed is painted from, whose wildcard files have
        these lines; without them their names stay."""
        prompt, negative = self.styled
        return draw_words(prompt, seed, lines), draw_words(negative, seed, lines)

    @property
    def steps_taken(self) -> int:
        """How many of the steps the first pass takes for each picture: the last ones of its schedule."""
        return max(1, int(self.steps * self.strength))

    @property
    def steps_refined(self) -> int:
        """How many of those the refiner takes; the model itself takes one at least."""
        if self.refiner is None:
            return 0
        return min(round(self.steps * self.refiner.share), self.steps_taken - 1)

    @property
    def second(self) -> Imagine | None:
        """What the second pass paints, from each of the pictures of the first; None where there is one pass only."""
        if self.hires is None:
            return None
        width, height, strength = self.hires.width, self.hires.height, self.hires.strength
        steps = enough_steps(self.steps, strength)
        return replace(self, width=width, height=height, steps=steps, strength=strength, image=None, hires=None)

    @property
    def steps_together(self) -> int:
        """The steps of all passes of all its pictures."""
        passes = (self, self.second) if self.second else (self,)
        return self.count * sum(each.steps_taken for each in passes)

    @property
    def places(self) -> int:
        """One for each picture."""
        return self.count

    @property
    def pass_key(self) -> tuple[object, ...]:
        """Equal for requests that can share one forward pass: all that they say but for OF_ONE_PICTURE."""
        shared = [getattr(self, name) for name in self.__struct_fields__ if name not in OF_ONE_PICTURE]
        # Of the pictures among it only whether there are any: one run starts from noise, another from pictures.
        follows = tuple(replace(control, image=ANY_PICTURE) for control in self.controls)
        return (*shared, self.image is None, self.mask is None, follows)

    @property
    def work(self) -> float:
        """Pixels times steps; what is seen beside the words is as large, and goes through every step."""
        own = float(self.width * self.height * self.steps_taken * self.count * (1 + len(self.references)))
        return own if self.second is None else own + self.second.work


class Grid(Task, frozen=True, kw_only=True, tag="grid"):
    """Paint pictures that differ in one or two things, and show them as a table with labels."""

    cells: tuple[Imagine, ...]
    """Row by row; each of one picture."""
    columns: tuple[str, ...]
    """Labels at the top."""
    rows: tuple[str, ...] = ("",)
    """Labels at the left."""
    blind: bool = False
    """Whether letters and numbers are written in the labels' place: whoever chooses knows not among what."""

    @property
    def headings(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is written at the top and at the left."""
        if not self.blind:
            return self.columns, self.rows
        rows = tuple(str(number + 1) for number in range(len(self.rows))) if len(self.rows) > 1 else ("",)
        return tuple(string.ascii_uppercase[: len(self.columns)]), rows

    @property
    def lora_files(self) -> tuple[str, ...]:
        """Those of all cells, each once."""
        return tuple(dict.fromkeys(sha256 for cell in self.cells for sha256 in cell.lora_files))

    @property
    def places(self) -> int:
        """One for each cell."""
        return len(self.cells)

    @property
    def work(self) -> float:
        """That of all cells."""
        return sum(cell.work for cell in self.cells)
