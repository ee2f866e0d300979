"""What a training is: what was asked for, and how far it has come. How it goes on is in `store`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

import msgspec

from inference.protocol import Reason, TrainingKind, TrainingOptions, TrainingOrder

State = Literal["draft", "waiting", "training", "ended", "stopped", "failed"]
"""`draft`: pictures and captions can be changed. `stopped` and `failed` ones can be gone on with."""

Share = Literal["own", "server", "all"]
"""Who may use what came of it."""

_options_decoder = msgspec.json.Decoder(TrainingOptions)
_reason_decoder = msgspec.json.Decoder(Reason)


@dataclass(frozen=True, slots=True)
class Training:
    """One training; times in seconds since 1970, ids as Discord gave them."""

    id: int
    member_id: int
    guild_id: int | None
    channel_id: int
    message_id: int | None
    """In which its panel stands."""
    language: str | None
    name: str
    kind: TrainingKind
    trigger: str
    consent: str
    license: str
    model: str
    options: TrainingOptions
    state: State
    reason: Reason | None
    """Why it failed."""
    step: int
    steps: int | None
    """Of all; None until the trainer has said it, as of `epochs`."""
    loss: float | None
    """Of the last step."""
    epoch: int
    """How many have ended."""
    epochs: int | None
    chosen: int | None
    """The epoch that is what came of it; None as long as nobody has chosen and it has not ended."""
    share: Share
    created_at: float
    changed_at: float
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None

    @property
    def order(self) -> TrainingOrder:
        """What the trainer is asked for."""
        return TrainingOrder(
            name=self.name,
            kind=self.kind,
            trigger=self.trigger,
            consent=self.consent,
            license=self.license,
            model=self.model,
            options=self.options,
        )


@dataclass(frozen=True, slots=True)
class TrainingPicture:
    """A picture that is learned from, and what it shows in words."""

    number: int
    sha256: str
    caption: str
    """Without the trigger, which is put before it."""


@dataclass(frozen=True, slots=True)
class TrainingEpoch:
    """An epoch that has ended, counted from 1."""

    epoch: int
    step: int
    loss: float
    """Mean of its steps."""
    ended_at: float


def of_row(row: sqlite3.Row) -> Training:
    """A row of the table `training`."""
    values = {name: row["trigger_words" if name == "trigger" else name] for name in Training.__slots__}
    values["options"] = _options_decoder.decode(row["options"])
    values["reason"] = None if row["reason"] is None else _reason_decoder.decode(row["reason"])
    return Training(**values)


def picture_of_row(row: sqlite3.Row) -> TrainingPicture:
    """A row of the table `training_picture`."""
    return TrainingPicture(row["number"], row["sha256"], row["caption"])


def epoch_of_row(row: sqlite3.Row) -> TrainingEpoch:
    """A row of the table `training_epoch`."""
    return TrainingEpoch(row["epoch"], row["step"], row["loss"], row["ended_at"])
