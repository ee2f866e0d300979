"""What the engine says of itself and of the jobs it was given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from inference.protocol.add_ons import AddOnInfo, OwnLora
from inference.protocol.pictures import Drawn, Imagine, Refiner, Style
from inference.protocol.reasons import Reason
from inference.protocol.remote import Remote
from inference.protocol.requests import Classify, Describe, DescribeTask, Request
from inference.protocol.training import TrainingInfo

FailureKind = Literal["invalid_input", "unsafe", "out_of_memory", "unavailable_model", "cancelled", "internal"]


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one picture model can do, and its defaults; sizes in pixels."""

    name: str
    """The key in models.toml, which members type."""
    title: str
    family: str
    samplers: tuple[str, ...]
    sampler: str
    steps: int
    max_steps: int
    guidance: float
    max_guidance: float
    negative: bool
    """False where the model is distilled and a negative prompt changes nothing."""
    width: int
    height: int
    size_multiple: int
    min_size: int
    max_size: int
    max_pixels: int
    max_hires_pixels: int
    """Of a second pass."""
    batch: int
    """How many pictures of the default size share one forward pass; jobs that fill one ride along together."""
    upscale: int
    """The factor by which the model's upscaler enlarges what it paints before it is delivered; 1 without one."""
    refiner: Refiner | None
    """What takes the last steps where the member does not say otherwise."""
    styles: tuple[Style, ...]
    references: int
    """How many pictures it can be shown beside the words; where it can be, it edits by instruction."""
    fills: bool
    """Whether it paints nothing but masked parts of pictures."""
    usual_layer: int | None
    """At which of its text encoder's layers, counted from its end, the states are usually taken; None where members
    cannot choose."""
    clip_skip: int | None
    """Where they are taken for who does not say."""
    remote: Remote | None
    """None where it is painted with on this machine."""
    training: TrainingInfo | None
    """How LoRAs are trained for it; None where none can be."""

    @property
    def repeats(self) -> bool:
        """Whether the same seed paints the same picture again."""
        return self.remote is None or self.remote.seeded

    @property
    def guided(self) -> bool:
        """Whether members may ask for any guidance: at 1 there is none yet."""
        return self.max_guidance > 1

    def canonical_batch(self, width: int, height: int, references: int = 0) -> int:
        """How many pictures of this size every pass paints, always; 1 where they are larger than the model's own, or
        something is seen beside them."""
        return self.batch if width * height <= self.width * self.height and not references else 1


class ToolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What an upscaler, a restorer of faces, a describer or a classifier is called, and what it can do."""

    name: str
    """The key in models.toml, which members type."""
    title: str
    scale: int
    """By which an upscaler enlarges by itself; other factors are made from that. 1 for every other tool."""
    denoise: bool
    """Whether an upscaler takes `Upscale.denoise`."""
    tasks: tuple[DescribeTask, ...]
    """What a describer can be asked."""
    languages: tuple[str, ...]
    """Those that a describer tells captions in beside the one it was made in, as Discord calls them."""
    batch: int
    """How many pictures share one forward pass of a describer or a classifier; 1 for every other tool."""


class Waking(msgspec.Struct, frozen=True, tag="waking"):
    """What an engine can say at once, before it has read its libraries, which takes seconds: `Ready` follows.

    What that will say is what it said when this word was the same, on the same machine: it stands for the catalogue,
    the weights, the code, the versions and the settings.
    """

    fingerprint: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """First event of every engine but for `Waking`: what it can do. Choices and limits shown to members come from
    here."""

    models: tuple[ModelInfo, ...]
    default_model: str
    missing: tuple[str, ...]
    """Catalogue entries whose weights are not on this machine."""
    device: str
    cards: int
    """How many cards the machine has, of which this engine uses one at most."""
    max_count: int
    max_prompt_chars: int
    upscalers: tuple[ToolInfo, ...]
    """Those whose weights are on this machine, the default one first; so for the next three."""
    restorers: tuple[ToolInfo, ...]
    describers: tuple[ToolInfo, ...]
    classifiers: tuple[ToolInfo, ...]
    label_sets: dict[str, tuple[str, ...]]
    """Ready-made labels for `Classify`, by name."""
    max_labels: int
    loras: tuple[AddOnInfo, ...]
    """Those whose weights are on this machine; so for the next two."""
    controls: tuple[AddOnInfo, ...]
    embeddings: tuple[AddOnInfo, ...]
    wildcards: tuple[str, ...]
    """Names of the operator's files of wildcards, as they were when the engine was started; not more than can be
    shown."""
    max_loras: int
    """How many of them one picture can have."""
    identity: str
    """The same word, the same bytes for the same request: of weights, settings, device and versions. Empty where
    nobody can tell."""
    elsewhere: tuple[str, ...]
    """Models of the catalogue that other servers have: an engine of another kind paints with them (`Remote`)."""
    keys: tuple[str, ...]
    """What the variables are called that hold the keys of those servers."""

    def model(self, name: str) -> ModelInfo | None:
        """The model of this name, or None where its weights are missing or nobody knows it."""
        return next((model for model in self.models if model.name == name), None)

    def with_own(self, loras: Iterable[AddOnInfo]) -> Ready:
        """The same with these LoRAs of members', of equal names the first; what the engine has goes behind them."""
        known: dict[str, AddOnInfo] = {}
        for one in (*loras, *self.loras):
            known.setdefault(one.name, one)
        return msgspec.structs.replace(self, loras=tuple(known.values()))

    def own_lora(self, own: OwnLora, trigger: str = "") -> AddOnInfo:
        """A member's LoRA as those of the catalogue are told: it goes with all models of its family that are painted
        with on this machine."""
        models = tuple(one.name for one in self.models if one.family == own.family and one.remote is None)
        return AddOnInfo(
            name=own.name,
            title=own.name,
            models=models,
            weight=own.weight,
            trigger=trigger,
            sampler=None,
            steps=None,
            guidance=None,
            beside=(),
            own=own,
        )

    def places(self, request: Request) -> int:
        """How many places the forward pass of a request like this one has: those that fill one ride along together."""
        match request:
            case Imagine():
                if (model := self.model(request.model)) is None:
                    return 1
                return model.canonical_batch(request.width, request.height, len(request.references))
            case Classify() | Describe():
                tools = self.classifiers if isinstance(request, Classify) else self.describers
                return next((tool.batch for tool in tools if tool.name == request.model), 1)
            case _:
                return 1


class Began(msgspec.Struct, frozen=True, tag="began"):
    """The thread that owns the device has taken these jobs up, or goes on with them after a quick one.

    Those of the last `Began` that have not ended are what it is at work on; results of jobs that began before and are
    `finishing` may still be on their way.
    """

    jobs: tuple[int, ...]


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """A sign of life from the thread that owns the device: where none comes during work, it hangs."""

    loading: bool
    """Whether something was begun that may take minutes without a sign, such as loading a model."""


class Holding(msgspec.Struct, frozen=True, kw_only=True, tag="holding"):
    """What the engine has in memory now; said again whenever other models are there."""

    models: dict[str, int]
    """The bytes of each on the device, by kind and name as in models.toml, least recently used first."""
    loads: int
    """How many were loaded since the engine was started, or came back from the machine's own memory."""
    budget_bytes: int
    """How much they may take together."""
    device_bytes: int
    """What the device has."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """A job moved on. `step` counts over all its pictures, from 0 to `steps`.

    Until it is said to be `painting`, others of its pass key that are sent may still share its pass. Every job that
    ends well has been `finishing` before: then it needs the device no more, or hardly.
    """

    job: int
    step: int
    steps: int
    stage: Literal["loading", "painting", "finishing"] = "painting"


class Preview(msgspec.Struct, frozen=True, tag="preview"):
    """What a job's pictures look like so far: one small WebP, several pictures as a grid."""

    job: int
    image: bytes


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One output: a PNG that carries its recipe in its texts, left in `incoming` (see `files`)."""

    file: str
    """Its name there."""
    sha256: str
    """Of its bytes, as 64 hex digits."""
    width: int
    height: int
    seed: int | None
    """The seed that alone tells a painted picture from its neighbours (see `Imagine`)."""
    flagged: bool
    """Whether a checker flagged it, or what it was made of: it is hidden until somebody wants to see it."""


class Region(msgspec.Struct, frozen=True):
    """A part of a picture and what it shows. Places are in pixels of the request's input, from its upper left."""

    label: str
    box: tuple[float, float, float, float]
    """Left, top, right, bottom."""
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    """The outline, where it was asked for: corners (x, y); several where the thing is in several pieces."""


class LabelShare(msgspec.Struct, frozen=True):
    """How well a label fits: its share of all labels' fit, 0 to 1."""

    label: str
    share: float


Origin = Literal["unknown", "easel", "model"]
"""Who made a picture: Easel, as its watermark tells; some model, as its file says; or nobody knows."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a job found out, beside the pictures that it made. It is kept for years: what is added has a default."""

    text: str = ""
    """In a model's own words."""
    nothing: Reason | None = None
    """What the model has not found, where that is all."""
    regions: tuple[Region, ...] = ()
    labels: tuple[LabelShare, ...] = ()
    """Best first."""
    origin: Origin = "unknown"
    """Of the picture that was asked about, as far as its marks tell."""
    notes: tuple[Reason | str, ...] = ()
    """What was done otherwise than asked; jobs of older versions have sentences."""
    drawn: tuple[Drawn, ...] = ()
    """What each picture was painted from, where that was left to chance."""
    flagged: tuple[bool, ...] = ()
    """Of each picture that was to be checked, whether it is flagged."""


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """The one good end of a job."""

    job: int
    pictures: tuple[Picture, ...]
    recipe: dict[str, Any]
    """Everything that made the pictures: request, model and revision, scheduler, versions, dtype, batch size."""
    seconds: float
    """Time the engine spent on this job, from its turn to its last byte."""
    answer: Answer


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The one bad end of a job."""

    job: int
    kind: FailureKind
    reason: Reason


Event = Waking | Ready | Began | Alive | Holding | Progress | Preview | Finished | Failed
"""Everything the engine sends."""
