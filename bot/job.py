"""What a job is: one request of one member, its place in Discord, and what came of it. How it lives is in `jobs`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from bot.errors import MemberError
from inference.protocol import Answer, FailureKind, Reason, Request, Task

State = Literal["arriving", "reading", "queued", "running", "finished", "failed", "cancelled"]
"""`arriving`: written down, and Discord has not confirmed yet that the member was told. `reading`: the same of a job
whose uploads are still being read. The last three are ends."""

ENDS: tuple[State, ...] = ("finished", "failed", "cancelled")
"""Nothing more becomes of a job in one of these."""

Way = Literal["reply", "channel", "member"]
"""Where an end was shown: in the interaction's reply, as a new message of the channel, as a direct message."""

Asked = TypeVar("Asked", bound=Task)


NOTHING_SAID = Answer()

_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answer_decoder = msgspec.json.Decoder(Answer)
_reason_decoder = msgspec.json.Decoder(Reason)


@dataclass(frozen=True, slots=True)
class Reply:
    """The message in which a job is answered, and who asked; ids as Discord gave them."""

    member_id: int
    guild_id: int | None
    channel_id: int
    message_id: int | None
    """None as long as Discord has not confirmed it."""
    token: str
    token_expires_at: float
    attachment_size_limit: int
    """The largest file that it may carry, in bytes."""
    age_restricted: bool = False
    """Whether the channel was, when the job was asked for: what is made there stays there."""
    language: str | None = None
    """What was spoken to who asked, and is spoken of the job; None for jobs of older versions."""
    place_id: int | None = None
    """The channel whose settings hold: of a thread the one around it; None for jobs of before."""
    role_ids: tuple[int, ...] = ()
    """The member's roles, when the job was asked for."""
    key_id: int | None = None
    """By which of the member's keys a program asked for it: then there is no message, and that is told. None for
    Discord, 0 for Easel itself."""
    lasts: bool = True
    """Whether it goes on where nobody waits for it any more."""

    def row(self) -> tuple[object, ...]:
        """Its columns of the table `job`, in the order of its fields, which are called so."""
        roles = msgspec.json.encode(self.role_ids).decode()
        return tuple(roles if name == "role_ids" else getattr(self, name) for name in Reply.__slots__)

    @property
    def url(self) -> str | None:
        """What leads to the message, where that is known."""
        if self.message_id is None:
            return None
        place = "@me" if self.guild_id is None else str(self.guild_id)
        return f"https://discord.com/channels/{place}/{self.channel_id}/{self.message_id}"


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """One output of a job; its bytes lie in `Pictures` under the hash."""

    sha256: str
    seed: int | None
    """Only painted pictures have one."""
    width: int
    height: int
    flagged: bool = False
    """Whether a checker flagged it: it is hidden until somebody wants to see it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table, as it was when read; times in seconds since 1970."""

    id: int
    request: Request
    state: State
    attempts: int
    """How often the engine died of it."""
    reply: Reply
    created_at: float
    seconds: float | None = None
    failure_kind: FailureKind | None = None
    failure: Reason | None = None
    pictures: tuple[StoredPicture, ...] = ()
    answer: Answer = NOTHING_SAID
    cancelling: bool = False
    """Whether its member was told that it ends; it ends as cancelled, whatever comes of it."""


def asked(job: Job, kind: type[Asked]) -> Asked:
    """The job's request, for whoever knows its kind. Raises MemberError where it is of another: a press was forged."""
    if not isinstance(job.request, kind):
        raise MemberError("That does not go with job {job}.", job=job.id)
    return job.request


def of_row(row: sqlite3.Row, pictures: Sequence[sqlite3.Row]) -> Job:
    """The job of a row of its table and of those of its pictures, in order."""
    return Job(
        id=row["id"],
        # The number is given by the insertion, after the request was written.
        request=msgspec.structs.replace(request_of(row), job=row["id"]),
        state=row["state"],
        attempts=row["attempts"],
        reply=Reply(
            member_id=row["member_id"],
            guild_id=row["guild_id"],
            channel_id=row["channel_id"],
            message_id=row["message_id"],
            token=row["token"],
            token_expires_at=row["token_expires_at"],
            attachment_size_limit=row["attachment_size_limit"],
            age_restricted=bool(row["age_restricted"]),
            language=row["language"],
            place_id=row["place_id"],
            role_ids=tuple(msgspec.json.decode(row["role_ids"])),
            key_id=row["key_id"],
            lasts=bool(row["lasts"]),
        ),
        created_at=row["created_at"],
        seconds=row["seconds"],
        failure_kind=row["failure_kind"],
        failure=_reason_decoder.decode(row["failure"]) if row["failure"] else None,
        pictures=tuple(
            StoredPicture(
                picture["sha256"],
                None if picture["seed"] is None else int(picture["seed"]),
                picture["width"],
                picture["height"],
                bool(picture["flagged"]),
            )
            for picture in pictures
        ),
        answer=_answer_decoder.decode(row["answer"]) if row["answer"] else NOTHING_SAID,
        cancelling=bool(row["cancelling"]),
    )


def request_of(row: sqlite3.Row) -> Request:
    """What the job of a row asks for."""
    return _request_decoder.decode(row["request"])


def seed_text(seed: int | None) -> str | None:
    """A seed as it is kept: they go beyond SQLite's integers."""
    return None if seed is None else str(seed)
