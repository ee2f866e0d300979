"""The training of a LoRA: what is asked for, and what bot and trainer tell each other meanwhile.

Pictures, captions and what comes of it are files in a folder of the training's own, which is named here.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Literal

import msgspec

from inference.protocol.reasons import Reason

TRAININGS = "trainings"
"""The folder in the data folder that has one for each training."""

PASSING = re.compile(r"run/(checkpoint(\.\w+)?/.*|priors/.*|examples\.safetensors|lock)|.*\.part(/.*)?")
"""What the trainer makes again in a training's folder where it is not there: a run without a checkpoint begins anew."""


def is_passing(file: PurePath) -> bool:
    """Whether a file, named from the folder of trainings on, is of no worth to a backup, and may go at any moment."""
    return PASSING.fullmatch("/".join(file.parts[1:])) is not None


MEMBERS_WEIGHT = 0.8
"""For which members' LoRAs are trained, and at which they work where nobody says another: more stays possible."""

TrainingKind = Literal["style", "subject"]
"""How pictures look, or what is in them."""


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it is trained, where that is not as its model's family begins and as the device holds it (None)."""

    rank: int | None = None
    rate: float | None = None
    steps: int | None = None
    epochs: int | None = None
    resolution: int | None = None
    """About as many pixels as its square has."""
    textures: bool | None = None
    encoders: bool | None = None
    seed: int | None = None
    prior: str = ""
    """What all pictures of its kind show, in words: so many of the model's own, `priors`, are learned beside."""
    priors: int = 0
    previews: tuple[str, ...] = ()
    """Prompts that are painted after each epoch; the first captions where there are none."""


class TrainingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is trained for whoever says no more."""

    rank: int
    rate: float
    steps: int
    epochs: int
    resolution: int
    encoders: bool
    """Whether its text encoders can be trained too."""


class TrainingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be trained."""

    name: str
    """Of the LoRA, and of its files."""
    kind: TrainingKind
    trigger: str
    consent: str
    """Who made or is in the pictures, and agreed that this is trained on them."""
    license: str
    """What may be done with what comes of it."""
    model: str
    options: TrainingOptions


class Train(msgspec.Struct, frozen=True, tag="train"):
    """The first word to a trainer."""

    order: TrainingOrder
    pictures: str
    """The folder of pictures, captions and data card."""
    run: str
    """The folder of the run, which is begun there or gone on with."""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Let the device be others' from the next step on; `Held` answers, and only then `Go` follows."""


class Go(msgspec.Struct, frozen=True, tag="go"):
    """The device may be used."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Keep what the run has come to, and end. To hang up says the same."""


TrainerMessage = Train | Hold | Go | Stop
"""Everything that a trainer is told."""


class Planned(msgspec.Struct, frozen=True, kw_only=True, tag="planned"):
    """The run is begun, or gone on with from this step."""

    step: int
    steps: int
    epochs: int


class Woke(msgspec.Struct, frozen=True, tag="woke"):
    """First word of a trainer: it has its device, and has nothing on it yet."""

    card: bool
    """Whether that is one with memory of its own."""


class Held(msgspec.Struct, frozen=True, tag="held"):
    """The device is not used from here on until `Go`; said once for each `Hold`."""

    away: bool
    """Whether the weights had to leave it, so that others had room: they need that to come back."""


class Crowded(msgspec.Struct, frozen=True, tag="crowded"):
    """The device has not enough room for it beside what is there; it ends."""


class Stepped(msgspec.Struct, frozen=True, tag="stepped"):
    """So many steps are done, the last with this loss."""

    step: int
    loss: float


class EpochEnded(msgspec.Struct, frozen=True, tag="epoch"):
    """An epoch, counted from 1, has ended with this mean loss; its files are in the run's folder."""

    epoch: int
    step: int
    loss: float


class TrainingEnded(msgspec.Struct, frozen=True, tag="ended"):
    """All steps are done: the last epoch is what came of it."""


class TrainingStopped(msgspec.Struct, frozen=True, tag="stopped"):
    """What the run has come to is kept, and can be gone on with."""


class TrainingFailed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot go on."""

    reason: Reason


TrainerEvent = Woke | Planned | Held | Crowded | Stepped | EpochEnded | TrainingEnded | TrainingStopped | TrainingFailed
"""Everything that a trainer says."""
