"""What the bot asks of the engine to be done with pictures, and how requests travel."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import msgspec

from inference.protocol.pictures import Grid, Imagine
from inference.protocol.task import Input, Task

MAX_OUTPUT_PIXELS = 140_000_000
"""The largest picture that is ever made: 4K enlarged four times."""

FACTORS = (2, 3, 4)
"""How many times as wide and high a picture can be made."""

MAX_TEXT_CHARS = 300
"""Of the words about what a describer shall look for."""

MAX_GROWN = 20
"""Steps by which a mask can be made larger or smaller."""


class Upscale(Task, frozen=True, kw_only=True, tag="upscale"):
    """Enlarge a picture; `model` names an upscaler."""

    image: Input
    factor: int
    """How many times as wide and high the result is."""
    denoise: float | None = None
    """For upscalers that can: 0 keeps the picture's grain, 1 smooths it away."""
    faces: str | None = None
    """The restorer that makes its faces anew; None for none."""

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

CaptionTask = Literal["caption", "detailed caption", "more detailed caption"]
"""Those of them that are answered with sentences of the model's own, in a language that it may be asked for."""
CAPTION_TASKS: tuple[CaptionTask, ...] = get_args(CaptionTask)

TASKS_WITH_TEXT: frozenset[DescribeTask] = frozenset({"ground phrases", "find", "segment"})


class Describe(Task, frozen=True, kw_only=True, tag="describe"):
    """Say what a picture shows, in words or in places; `model` names a describer."""

    quick: ClassVar[bool] = True

    image: Input
    task: DescribeTask
    text: str = ""
    """For the tasks of TASKS_WITH_TEXT."""
    language: str = ""
    """In which a caption is told, of those that the describer is said to know; empty for the one it was made in."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The one picture."""
        return (self.image,)

    @property
    def pass_key(self) -> tuple[object, ...]:
        """The same question to the same model: whatever is longer than its neighbours would have to be filled up."""
        return (self.kind, self.model, self.task, self.text, self.language)


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

    @property
    def pass_key(self) -> tuple[object, ...]:
        """The same model: pictures share its pass, and labels are read apart from them."""
        return (self.kind, self.model)


class Mask(Task, frozen=True, kw_only=True, tag="mask"):
    """Find the part of a picture that words mean, or that a mask marks which somebody drew, to be looked at before it
    is painted anew.

    `model` names a describer, and the model that paints where the mask is drawn. Gives two pictures: what to look at,
    and the mask.
    """

    quick: ClassVar[bool] = True

    image: Input
    text: str = ""
    drawn: Input | None = None
    """Of the picture's size, white where it is meant: then no words are looked for."""
    grow: int = 0
    """By how many steps the mask is larger than what was found or drawn, or smaller."""
    invert: bool = False
    """Whether all but that is meant."""
    edit: Imagine
    """What is painted once the mask is right: it wants nothing but that."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The picture, the mask where it is drawn, and what will be seen beside it: that must still be there when it is
        painted."""
        drawn = () if self.drawn is None else (self.drawn,)
        return (self.image, *drawn, *self.edit.references)


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
    captions: tuple[str, str, str] = ("given", "seen", "painted")
    """What is written under each kind of them."""
    model2: str | None = None
    """What followed `image2` at the same time, if anything did."""
    image2: Input | None = None

    @property
    def followed(self) -> tuple[tuple[str, Input], ...]:
        """The ControlNets, and what each of them followed."""
        pairs = ((self.model, self.image), (self.model2, self.image2))
        return tuple((model, image) for model, image in pairs if model is not None and image is not None)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The pictures that were followed and those that were painted."""
        return (*(image for _, image in self.followed), *self.painted)


class Check(Task, frozen=True, kw_only=True, tag="check"):
    """Say which pictures a safety checker flags, which `model` names; the one that looks at what members bring where
    that is empty. The bot asks it of what other servers are shown and paint, and of no member's behalf."""

    quick: ClassVar[bool] = True

    pictures: tuple[Input, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The pictures."""
        return self.pictures


Request = Imagine | Grid | Upscale | Describe | Classify | Compare | Mask
"""Every task a member can ask for (a union that grows with the commands)."""

Work = Request | Check
"""Every task."""


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    """Requests to be run together, in one forward pass where they can share one.

    The files of their inputs lie in `pictures` (see `files`) until the last of them has ended.
    """

    requests: tuple[Work, ...]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop a job between two steps; it ends with `Failed(kind="cancelled")`. Unknown jobs are ignored."""

    job: int


class Spare(msgspec.Struct, frozen=True, tag="spare"):
    """Let go of everything on the device once nothing is to be done, for who else needs its memory; `Holding` tells."""


Message = Batch | Cancel | Spare
"""Everything the bot sends."""
