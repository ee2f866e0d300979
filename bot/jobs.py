"""A job's life, and all its SQL: queued, running, then finished, failed or cancelled, then delivered."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from bot.database import Database
from bot.pictures import Pictures
from inference.protocol import Answer, FailureKind, Finished, Request, Task

State = Literal["queued", "running", "finished", "failed", "cancelled"]

MAX_ATTEMPTS = 2
"""A job that ended the engine this often is set aside: a third try would most likely end it again."""

Asked = TypeVar("Asked", bound=Task)

_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answer_decoder = msgspec.json.Decoder(Answer)


@dataclass(frozen=True, slots=True)
class Reply:
    """The message in which a job is answered, and who asked; ids as Discord gave them."""

    member_id: int
    guild_id: int | None
    channel_id: int
    message_id: int
    token: str
    token_expires_at: float
    attachment_size_limit: int
    """The largest file that it may carry, in bytes."""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """One output of a job; its bytes lie in `Pictures` under the hash."""

    sha256: str
    seed: int | None
    """Only painted pictures have one."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table, as it was when read; times in seconds since 1970."""

    id: int
    request: Request
    state: State
    attempts: int
    reply: Reply
    created_at: float
    seconds: float | None
    failure_kind: FailureKind | None
    failure_message: str | None
    pictures: tuple[StoredPicture, ...]
    answer: Answer


def asked(job: Job, kind: type[Asked]) -> Asked:
    """The job's request, for whoever knows its kind. Raises TypeError where it is of another."""
    if not isinstance(job.request, kind):
        raise TypeError(f"job {job.id} is no {kind.__name__}")
    return job.request


class Jobs:
    """Every job there ever was, except those that their members deleted."""

    def __init__(self, database: Database, pictures: Pictures, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._pictures = pictures
        self._clock = clock
        # Held from keeping a file to writing down its use: nobody may find it unused and remove it in between.
        self._files = asyncio.Lock()

    async def submit(
        self, request: Request, reply: Reply, parent_id: int | None = None, files: Sequence[bytes] = ()
    ) -> Job:
        """Write a new job down as queued, and keep those of its inputs that are given. From here on it survives
        anything."""
        async with self._files:
            for data in files:
                await self._pictures.keep(data)
            return await self.get(await self._insert(request, reply, parent_id))

    async def _insert(self, request: Request, reply: Reply, parent_id: int | None) -> int:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "INSERT INTO job (kind, request, parent_id, member_id, guild_id, channel_id, message_id, token,"
                " token_expires_at, attachment_size_limit, created_at)"
                " VALUES (?, ?, (SELECT id FROM job WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    request.kind,
                    msgspec.json.encode(request).decode(),
                    parent_id,
                    reply.member_id,
                    reply.guild_id,
                    reply.channel_id,
                    reply.message_id,
                    reply.token,
                    reply.token_expires_at,
                    reply.attachment_size_limit,
                    self._clock(),
                ),
            )
            job_id = cursor.lastrowid
            assert job_id is not None
            await connection.executemany(
                "INSERT INTO input VALUES (?, ?, ?)",
                [(job_id, position, image.sha256) for position, image in enumerate(request.inputs)],
            )
        return job_id

    async def find(self, job_id: int) -> Job | None:
        """The job of this number, or None where there is none."""
        row = await self._database.row("SELECT * FROM job WHERE id = ?", (job_id,))
        return await self._job(row) if row else None

    async def get(self, job_id: int) -> Job:
        """The job of this number. Raises LookupError where there is none."""
        job = await self.find(job_id)
        if job is None:
            raise LookupError(f"job {job_id}")
        return job

    async def start(self, job_ids: Iterable[int]) -> None:
        """Write down that these jobs are in the engine's hands."""
        async with self._database.transaction() as connection:
            await connection.executemany(
                "UPDATE job SET state = 'running', attempts = attempts + 1, started_at = ? WHERE id = ?",
                [(self._clock(), job_id) for job_id in job_ids],
            )

    async def finish(self, result: Finished) -> Job:
        """Keep a job's pictures and write down that it is finished, all or nothing."""
        async with self._files:
            hashes = [await self._pictures.keep(picture.data) for picture in result.pictures]
            async with self._database.transaction() as connection:
                await connection.execute(
                    "UPDATE job SET state = 'finished', ended_at = ?, seconds = ?, recipe = ?, answer = ? WHERE id = ?",
                    (
                        self._clock(),
                        result.seconds,
                        msgspec.json.encode(result.recipe).decode(),
                        msgspec.json.encode(result.answer).decode(),
                        result.job,
                    ),
                )
                await connection.executemany(
                    "INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (result.job, position, sha256, _text(picture.seed), picture.width, picture.height)
                        for position, (sha256, picture) in enumerate(zip(hashes, result.pictures, strict=True))
                    ],
                )
        return await self.get(result.job)

    async def fail(self, job_id: int, kind: FailureKind, message: str) -> Job:
        """Write down why a job ended without pictures; one that was cancelled ends as cancelled."""
        state = "cancelled" if kind == "cancelled" else "failed"
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE job SET state = ?, ended_at = ?, failure_kind = ?, failure_message = ? WHERE id = ?",
                (state, self._clock(), kind, message, job_id),
            )
        return await self.get(job_id)

    async def requeue(self, job_ids: Sequence[int], *, blame: bool) -> None:
        """Put running jobs back into the queue; without `blame` the attempt does not count against them."""
        async with self._database.transaction() as connection:
            await connection.executemany(
                "UPDATE job SET state = 'queued', attempts = attempts - ? WHERE id = ? AND state = 'running'",
                [(0 if blame else 1, job_id) for job_id in job_ids],
            )

    async def delivered(self, job_id: int) -> None:
        """Write down that the member has the answer. The reply's token is of no more use and is forgotten."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE job SET delivered_at = ?, token = '', token_expires_at = 0 WHERE id = ?",
                (self._clock(), job_id),
            )

    async def delete(self, job_id: int) -> None:
        """Forget a job and remove its pictures from disk, except those that another job shows or works on."""
        async with self._files:
            async with self._database.transaction() as connection:
                orphans = await connection.execute_fetchall(
                    "SELECT DISTINCT sha256 FROM file_use AS mine WHERE job_id = ?1"
                    " AND NOT EXISTS (SELECT 1 FROM file_use WHERE sha256 = mine.sha256 AND job_id <> ?1)",
                    (job_id,),
                )
                await connection.execute("DELETE FROM job WHERE id = ?", (job_id,))
            for row in orphans:
                await self._pictures.drop(row["sha256"])

    async def in_state(self, state: State) -> list[Job]:
        """All jobs in this state, oldest first."""
        return await self._jobs("state = ? ORDER BY id", state)

    async def undelivered(self) -> list[Job]:
        """The jobs that ended without their member having heard of it, oldest first."""
        return await self._jobs("delivered_at IS NULL AND state IN ('finished', 'failed', 'cancelled') ORDER BY id")

    async def recent_of(self, member_id: int, limit: int = 25) -> list[Job]:
        """A member's newest jobs, newest first."""
        return await self._jobs("member_id = ? ORDER BY id DESC LIMIT ?", member_id, limit)

    async def durations_of_kind(self, kind: str, limit: int = 20) -> list[tuple[Request, float]]:
        """What the newest finished jobs of a kind asked for, and the engine's seconds on each."""
        rows = await self._database.rows(
            "SELECT request, seconds FROM job WHERE kind = ? AND state = 'finished' ORDER BY id DESC LIMIT ?",
            (kind, limit),
        )
        return [(_request_decoder.decode(row["request"]), row["seconds"]) for row in rows]

    async def last_served(self) -> dict[int, float]:
        """When each member's newest job was started."""
        rows = await self._database.rows(
            "SELECT member_id, max(started_at) AS at FROM job WHERE started_at IS NOT NULL GROUP BY member_id"
        )
        return {row["member_id"]: row["at"] for row in rows}

    async def picture_bytes(self, job: Job) -> list[bytes]:
        """The job's pictures, in order. Raises FileNotFoundError where one was removed from disk by hand."""
        return [await self._pictures.read(picture.sha256) for picture in job.pictures]

    async def input_bytes(self, request: Request) -> dict[str, bytes]:
        """The pictures that a request works on, by SHA-256. Raises FileNotFoundError where one was removed by hand."""
        return {image.sha256: await self._pictures.read(image.sha256) for image in request.inputs}

    async def recipe(self, job_id: int) -> dict[str, Any] | None:
        """What made a job's pictures, or None where it has made none."""
        row = await self._database.row("SELECT recipe FROM job WHERE id = ?", (job_id,))
        return msgspec.json.decode(row["recipe"]) if row and row["recipe"] else None

    async def of_message(self, message_id: int) -> Job | None:
        """The job that this message answers, or None."""
        row = await self._database.row("SELECT * FROM job WHERE message_id = ? ORDER BY id DESC LIMIT 1", (message_id,))
        return await self._job(row) if row else None

    async def _jobs(self, where: str, *parameters: object) -> list[Job]:
        rows = await self._database.rows(f"SELECT * FROM job WHERE {where}", parameters)
        return [await self._job(row) for row in rows]

    async def _job(self, row: sqlite3.Row) -> Job:
        pictures = await self._database.rows("SELECT * FROM picture WHERE job_id = ? ORDER BY position", (row["id"],))
        return Job(
            id=row["id"],
            # The number is given by the insertion, after the request was written.
            request=msgspec.structs.replace(_request_decoder.decode(row["request"]), job=row["id"]),
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
            ),
            created_at=row["created_at"],
            seconds=row["seconds"],
            failure_kind=row["failure_kind"],
            failure_message=row["failure_message"],
            pictures=tuple(
                StoredPicture(picture["sha256"], _number(picture["seed"]), picture["width"], picture["height"])
                for picture in pictures
            ),
            answer=_answer_decoder.decode(row["answer"]) if row["answer"] else Answer(),
        )


def _text(seed: int | None) -> str | None:
    """Seeds go beyond SQLite's integers, so they are kept as text."""
    return None if seed is None else str(seed)


def _number(seed: str | None) -> int | None:
    return None if seed is None else int(seed)
