"""What the bot asks of the engine."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

MAX_SEED = 2**64 - 1
"""Seeds are what `torch.Generator.manual_seed` takes without a sign: 0 to 2^64 - 1."""

MAX_OUTPUT_PIXELS = 140_000_000
"""The largest picture that is ever made: 4K enlarged four times."""


FACTORS = (2, 3, 4)
"""How many times as wide and high a picture can be made."""

MAX_TEXT_CHARS = 300
"""Of the words about what a describer shall look for."""


class Variation(msgspec.Struct, frozen=True):
    """One step aside from a picture's noise: spherical interpolation towards the noise of another seed."""

    seed: int
    strength: float
    """0 leaves the noise as it is, 1 replaces it."""


class Input(msgspec.Struct, frozen=True):
    """A picture that a request works on. Its bytes, a PNG, travel beside the request in the `Batch`."""

    sha256: str
    """Of those bytes, as 64 hex digits."""
    width: int
    height: int


MAX_GROWN = 20
"""Steps by which a mask can be made larger or smaller."""


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


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What every request has. Every field is settled: nothing is left for the engine to choose."""

    job: int
    model: str

    quick: ClassVar[bool] = False
    """Quick tasks take a fraction of a second and need not wait for somebody else's fifty steps."""

    @property
    def kind(self) -> str:
        """The word that it is told from other requests by, which is its command's name."""
        return str(self.__struct_config__.tag)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The pictures it works on."""
        return ()

    @property
    def places(self) -> int:
        """How many places of a forward pass it takes."""
        return 1

    @property
    def pass_key(self) -> tuple[object, ...]:
        """Equal for requests that can share one forward pass."""
        return (self.job,)

    @property
    def work(self) -> float:
        """How much there is to do, in a unit of its kind: estimates compare it with that of jobs done before."""
        return 1.0


class Imagine(Task, frozen=True, kw_only=True, tag="imagine"):
    """Paint `count` pictures from words.

    Picture `i` starts from the noise of seed `seed + i` (modulo 2^64). With `variations`, all pictures start
    from the noise of `seed`, the variations are applied in order, and the last one's seed counts up instead.

    With an `image`, painting starts from that picture under as much noise as `strength` says.
    """

    prompt: str
    negative: str = ""
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


class Upscale(Task, frozen=True, kw_only=True, tag="upscale"):
    """Enlarge a picture; `model` names an upscaler."""

    image: Input
    factor: int
    """How many times as wide and high the result is."""
    denoise: float | None = None
    """For upscalers that can: 0 keeps the picture's grain, 1 smooths it away."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The one picture."""
        return (self.image,)

    @property
    def work(self) -> float:
        """Pixels of the picture."""
        return float(self.image.width * self.image.height)


DescribeTask = Literal[
    "caption",
    "detailed caption",
    "more detailed caption",
    "read text",
    "locate text",
    "detect objects",
    "caption regions",
    "ground phrases",
    "find",
    "segment",
]
"""What can be asked about a picture. The last three take words: phrases of a caption, or what to look for."""

TASKS_WITH_TEXT: frozenset[DescribeTask] = frozenset({"ground phrases", "find", "segment"})


class Describe(Task, frozen=True, kw_only=True, tag="describe"):
    """Say what a picture shows, in words or in places; `model` names a describer."""

    quick: ClassVar[bool] = True

    image: Input
    task: DescribeTask
    text: str = ""
    """For the tasks of TASKS_WITH_TEXT."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The one picture."""
        return (self.image,)


class Classify(Task, frozen=True, kw_only=True, tag="classify"):
    """Say which of the labels fits a picture how well; `model` names a classifier."""

    quick: ClassVar[bool] = True

    image: Input
    labels: tuple[str, ...]
    templates: tuple[str, ...]
    """Sentences with `{}` in the label's place; a label is what they say on average."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The one picture."""
        return (self.image,)


class Mask(Task, frozen=True, kw_only=True, tag="mask"):
    """Find the part of a picture that words mean, to be looked at before it is painted anew.

    `model` names a describer. Gives two pictures: what to look at, and the mask.
    """

    quick: ClassVar[bool] = True

    image: Input
    text: str
    grow: int = 0
    """By how many steps the mask is larger than what was found, or smaller."""
    invert: bool = False
    """Whether all but what was found is meant."""
    edit: Imagine
    """What is painted once the mask is right: it wants nothing but that."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The one picture."""
        return (self.image,)


class Compare(Task, frozen=True, kw_only=True, tag="compare"):
    """Put side by side the picture that was followed, what the ControlNet saw of it, and what was painted.

    `model` names the ControlNet.
    """

    quick: ClassVar[bool] = True

    image: Input
    width: int
    """The size at which it was followed, in pixels."""
    height: int
    painted: tuple[Input, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The picture that was followed and those that were painted."""
        return (self.image, *self.painted)


Request = Imagine | Upscale | Describe | Classify | Compare | Mask
"""Every task a member can ask for (a union that grows with the commands)."""


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    """Requests to be run together, in one forward pass where they can share one."""

    requests: tuple[Request, ...]
    files: dict[str, bytes] = {}
    """The bytes of all their inputs, by SHA-256."""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop a job between two steps; it ends with `Failed(kind="cancelled")`. Unknown jobs are ignored."""

    job: int


Message = Batch | Cancel
"""Everything the bot sends."""
