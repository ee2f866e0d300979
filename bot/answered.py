"""What was made before is not made again: which jobs come to the same bytes, and how one is answered with another's.

Who holds the locks for it is `jobs`.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3

import aiosqlite
import msgspec

from bot.database import Database
from bot.job import Job
from bot.pictures.kept import Pictures
from inference.protocol import Answer, Finished, Ready, Reason, Request, because

WILDCARD = b"__"
"""Around the name of a file of wildcards, whose lines may be others by now."""

LASTING = frozenset({"never_seen"})
"""Notes that are about what was asked: whoever asks for the same again is told the same."""

LOOKED_AT = 8
"""So many of the newest are looked at, should files of some be gone."""


COPY = "INSERT INTO picture SELECT ?, position, sha256, seed, width, height, flagged FROM picture WHERE job_id = ?"


def likeness(request: Request, ready: Ready) -> str | None:
    """The same for requests of which the same engine makes the same; None where nobody can tell.

    Everything counts that was asked for, seeds and hashes of inputs among it, and everything that the engine is.
    """
    asked = msgspec.json.encode(msgspec.structs.replace(request, job=0))
    if request.model in ready.elsewhere or not ready.identity or WILDCARD in asked:
        return None
    return hashlib.sha256(f"{ready.identity}\n".encode() + asked).hexdigest()


def likeness_of(result: Finished, request: Request, ready: Ready) -> str | None:
    """The same of a result, for those that come after it; None where there are no pictures, where something was done
    otherwise than asked (with more room it may be done as asked), or was left to chance: what was drawn is looked at
    by those rules that hold where it is asked for."""
    said = result.answer
    otherwise = [note for note in said.notes if not _lasts(note)]
    return likeness(request, ready) if result.pictures and not (otherwise or said.drawn) else None


def _lasts(note: Reason | str) -> bool:
    return isinstance(note, Reason) and note.name in LASTING


async def answer(database: Database, pictures: Pictures, job: Job, likeness: str, now: float) -> None:
    """Finish a queued job with what an earlier one of this likeness has made, all or nothing; where there is none, or
    the job is not queued any more, it stays as it is. Nobody may remove pictures meanwhile."""
    # What was made where only adults are stays there.
    rows = await database.rows(
        "SELECT id, channel_id, answer FROM job WHERE likeness = ? AND id <> ? AND age_restricted <= ?"
        " ORDER BY channel_id <> ?, id DESC LIMIT ?",
        (likeness, job.id, job.reply.age_restricted, job.reply.channel_id, LOOKED_AT),
    )
    for row in rows:
        if await _is_whole(database, pictures, row["id"]):
            async with database.transaction() as connection:
                await _write(connection, row, job, likeness, now)
            return


async def _is_whole(database: Database, pictures: Pictures, job_id: int) -> bool:
    """Whether a job has pictures, and all of them are on the disk."""
    made = await database.rows("SELECT sha256 FROM picture WHERE job_id = ?", (job_id,))
    paths = [pictures.path(row["sha256"]) for row in made]
    return bool(paths) and await asyncio.to_thread(lambda: all(path.is_file() for path in paths))


async def _write(connection: aiosqlite.Connection, earlier: sqlite3.Row, job: Job, likeness: str, now: float) -> None:
    # Which job that was is told where both are answered in the same channel: elsewhere not everybody may see it.
    is_here = earlier["channel_id"] == job.reply.channel_id
    note = because("made_before_by", job=earlier["id"]) if is_here else because("made_before")
    answer = msgspec.json.decode(earlier["answer"], type=Answer)
    said = msgspec.structs.replace(answer, notes=(note, *filter(_lasts, answer.notes)))
    cursor = await connection.execute(
        "UPDATE job SET state = 'finished', ended_at = ?, seconds = 0, answer = ?, likeness = ?,"
        " recipe = (SELECT recipe FROM job AS earlier WHERE earlier.id = ?)"
        " WHERE id = ? AND state = 'queued' AND NOT cancelling",
        (now, msgspec.json.encode(said).decode(), likeness, earlier["id"], job.id),
    )
    if cursor.rowcount == 1:
        await connection.execute(COPY, (job.id, earlier["id"]))
