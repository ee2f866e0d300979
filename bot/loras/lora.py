"""What a member's LoRA is, and the one rule of who may paint with it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

from bot.training.states import Share
from inference.protocol import OwnLora, TrainingKind

ShareState = Literal["usable", "pending", "refused"]
"""Of what its owner wants of sharing: it is so, somebody is to decide, or it is not."""


@dataclass(frozen=True, slots=True)
class MemberLora:
    """One of them; times in seconds since 1970, ids as Discord gave them."""

    id: int
    member_id: int
    guild_id: int | None
    training_id: int | None
    name: str
    trigger: str
    kind: TrainingKind
    consent: str
    license: str
    pictures: int
    model: str
    family: str
    weight: float
    epoch: int
    sha256: str
    share: Share
    """With whom its owner wants it shared."""
    state: ShareState
    decided_by: int | None
    told: bool
    made_at: float

    @property
    def shared(self) -> Share:
        """With whom it is shared."""
        return self.share if self.state == "usable" else "own"

    def is_for(self, member_id: int, guild_id: int | None) -> bool:
        """Whether this member may paint with it in this server, or in direct messages: its owner everywhere, all
        members of the server that it is shared with there, everybody where it is shared with all."""
        if member_id == self.member_id or self.shared == "all":
            return True
        return self.shared == "server" and guild_id is not None and guild_id == self.guild_id

    def own(self) -> OwnLora:
        """As requests name it."""
        return OwnLora(name=self.name, sha256=self.sha256, family=self.family, weight=self.weight)


@dataclass(frozen=True, slots=True)
class LoraFile:
    """What a LoRA was after one epoch of its training."""

    epoch: int
    sha256: str
    kohya_sha256: str
    preview_sha256: str | None
    bytes: int


def of_row(row: sqlite3.Row) -> MemberLora:
    """A row of the table `lora`."""
    values = {name: row["trigger_words" if name == "trigger" else name] for name in MemberLora.__slots__}
    return MemberLora(**{**values, "told": bool(row["told"])})


def file_of_row(row: sqlite3.Row) -> LoraFile:
    """A row of the table `lora_file`."""
    return LoraFile(*(row[name] for name in LoraFile.__slots__))
