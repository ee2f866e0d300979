"""A job's life, and all its SQL: written down, queued, running, then finished, failed or cancelled, then delivered."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bot import answered, costs
from bot.audit import DAYS, Audit, hash_of
from bot.belongings import Belongings
from bot.costs import FREE, Price
from bot.counting import Counting
from bot.database import Database
from bot.finding import Finding
from bot.job import Job, Reply, State, Way, of_row, seed_text
from bot.keys import Keys
from bot.loras.kept import Loras
from bot.members import Members
from bot.pictures.kept import Pictures
from bot.ratings import Ratings
from bot.training.store import Trainings
from bot.uses import Uses
from inference.protocol import FailureKind, Finished, Left, Reason, Request

MAX_ATTEMPTS = 2
"""A job that ended the engine this often is set aside: a third try would most likely end it again."""

ARRIVE = (
    f"INSERT INTO job (kind, request, state, parent_id, {', '.join(Reply.__slots__)}, request_sha256, created_at)"
    f" VALUES (?, ?, ?, (SELECT id FROM job WHERE id = ?), {', '.join('?' for _ in Reply.__slots__)}, ?, ?) RETURNING *"
)

PICTURES = "SELECT * FROM picture WHERE job_id = ? ORDER BY position"


class Jobs:
    """Every job there ever was, except those that their members deleted.

    What changes a job returns it as it is then, or None where it is gone or has gone on meanwhile: then nothing was
    changed.
    """

    def __init__(
        self,
        database: Database,
        pictures: Pictures,
        clock: Callable[[], float] = time.time,
        audit_days: int = DAYS,
    ) -> None:
        self._database = database
        self.pictures = pictures
        self._clock = clock
        self.finding = Finding(database, clock)
        self.counting = Counting(database, clock)
        self.audit = Audit(database, clock, audit_days)
        self.belongings = Belongings(database)
        self._uses = Uses(database, pictures)
        self.members = Members(database)
        self.ratings = Ratings(database, clock)
        self.keys = Keys(database, clock)
        self.trainings = Trainings(database, pictures.data, clock)
        self.loras = Loras(database, pictures.data, self.audit, clock)

    async def arrive(
        self, request: Request, reply: Reply, parent_id: int | None = None, *, reading: bool = False, cost: Price = FREE
    ) -> Job:
        """Write a new job down with its price, before its member is told; `reading` where its uploads are still to be
        read, for which inputs without a hash stand in."""
        asked = (request.kind, msgspec.json.encode(request).decode(), "reading" if reading else "arriving", parent_id)
        values = (*asked, *reply.row(), hash_of(request), self._clock())
        if cost.is_free and not any(image.sha256 for image in request.inputs):
            [row] = await self._database.change(ARRIVE, values)
        else:
            async with self._database.transaction() as connection:
                [row] = await connection.execute_fetchall(ARRIVE, values)
                await self._uses.add(connection, row["id"], request)
                await costs.reserve(connection, row, cost)
        return await self._job(row)

    async def acknowledge(self, job_id: int, message_id: int | None) -> Job | None:
        """Write down that the member was told, and in which message if that is known: a job that was complete is
        queued with it."""
        return await self._change(
            job_id,
            "UPDATE job SET message_id = ?, state = iif(state = 'arriving', 'queued', state) WHERE id = ?",
            message_id,
        )

    async def settle(self, job_id: int, request: Request, uploads: Sequence[Left], price: Price = FREE) -> Job | None:
        """Queue a job whose uploads are read: they are kept, and the request is one on them, at its own price."""
        async with self._uses.lock:
            for left in uploads:
                await self.pictures.take_over(left)
            async with self._database.transaction() as connection:
                cursor = await connection.execute(
                    "UPDATE job SET state = 'queued', request = ?, request_sha256 = ?"
                    " WHERE id = ? AND state = 'reading'",
                    (msgspec.json.encode(request).decode(), hash_of(request), job_id),
                )
                if settled := cursor.rowcount == 1:
                    await self._uses.add(connection, job_id, request)
                    await costs.settle(connection, job_id, price)
            if not settled:
                await self._uses.drop_unused(left.sha256 for left in uploads)
        return await self.find(job_id) if settled else None

    async def find(self, job_id: int) -> Job | None:
        """The job of this number, or None where there is none, be it beyond all numbers."""
        if not 0 < job_id < 2**63:
            return None
        row = await self._database.row("SELECT * FROM job WHERE id = ?", (job_id,))
        return await self._job(row) if row else None

    async def start(self, job_ids: Sequence[int]) -> frozenset[int]:
        """Write down that these jobs are in the engine's hands; which of them are, now that it is written: not those
        that have ended before. Twice does no harm."""
        async with self._database.transaction() as connection:
            await connection.executemany(
                "UPDATE job SET state = 'running', started_at = ? WHERE id = ? AND state = 'queued'",
                [(self._clock(), job_id) for job_id in job_ids],
            )
            rows = await connection.execute_fetchall(
                "SELECT id FROM job WHERE state = 'running' AND id IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(list(job_ids)).decode(),),
            )
        return frozenset(row["id"] for row in rows)

    async def finish(self, result: Finished, share: float = 1.0, likeness: str | None = None) -> Job | None:
        """Keep a job's pictures and write down that it is finished, all or nothing, unless it was cancelled; twice does
        no harm. `share` is the part of its seconds that it had for itself, where others rode along."""
        lefts = [Left(picture.file, picture.sha256) for picture in result.pictures]
        recipe, said = (msgspec.json.encode(each).decode() for each in (result.recipe, result.answer))
        async with self._uses.lock:
            for left in lefts:
                await self.pictures.take_over(left)
            async with self._database.transaction() as connection:
                cursor = await connection.execute(
                    "UPDATE job SET state = 'finished', ended_at = ?, seconds = ?, share = ?, recipe = ?, answer = ?,"
                    " likeness = ? WHERE id = ? AND state = 'running' AND NOT cancelling",
                    (self._clock(), result.seconds, share, recipe, said, likeness, result.job),
                )
                if finished := cursor.rowcount == 1:
                    await connection.executemany(
                        "INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?)",
                        [
                            (result.job, position, one.sha256, seed_text(one.seed), one.width, one.height, one.flagged)
                            for position, one in enumerate(result.pictures)
                        ],
                    )
            if not finished:
                await self._uses.drop_unused(left.sha256 for left in lefts)
        return await self.find(result.job) if finished else None

    async def answer(self, job: Job, likeness: str) -> Job | None:
        """Finish a queued job with what an earlier one of this likeness has made, if that is there still (`answered`);
        the job as it is then. Twice does no harm."""
        async with self._uses.lock:
            await answered.answer(self._database, self.pictures, job, likeness, self._clock())
        return await self.find(job.id)

    async def fail(self, job_id: int, kind: FailureKind, reason: Reason) -> Job | None:
        """Write down why a job ended without pictures. One that was cancelled ends as that, whatever the reason."""
        return await self._change(
            job_id,
            "UPDATE job SET ended_at = ?, state = iif(cancelling, 'cancelled', ?),"
            " failure_kind = iif(cancelling, failure_kind, ?), failure = iif(cancelling, failure, ?)"
            " WHERE id = ? AND state NOT IN ('finished', 'failed', 'cancelled')",
            self._clock(),
            "cancelled" if kind == "cancelled" else "failed",
            kind,
            msgspec.json.encode(reason).decode(),
        )

    async def cancel(self, job_id: int) -> Job | None:
        """Write down that a job ends as cancelled: at once, or, where the engine has it, whatever comes of it there."""
        return await self._change(
            job_id,
            "UPDATE job SET cancelling = 1, ended_at = iif(state = 'running', NULL, ?),"
            " failure_kind = 'cancelled', state = iif(state = 'running', state, 'cancelled')"
            " WHERE id = ? AND state IN ('arriving', 'reading', 'queued', 'running')",
            self._clock(),
        )

    async def requeue(self, job_ids: Sequence[int], blamed: Collection[int] = ()) -> None:
        """Put running jobs back into the queue; the engine's death is held against those that are `blamed`. Those that
        were cancelled end here."""
        async with self._database.transaction() as connection:
            await connection.executemany(
                "UPDATE job SET attempts = attempts + ?, state = iif(cancelling, 'cancelled', 'queued'),"
                " ended_at = iif(cancelling, ?, NULL) WHERE id = ? AND state = 'running'",
                [(int(job_id in blamed), self._clock(), job_id) for job_id in job_ids],
            )

    async def delivered(self, job_id: int, way: Way | None, message_id: int | None) -> None:
        """Write down how and in which message the member has the answer; in none where a program asked for it. The
        reply's token is of no more use and is forgotten."""
        await self._database.change(
            "UPDATE job SET delivered_at = ?, delivered_to = ?, message_id = coalesce(?, message_id),"
            " token = '', token_expires_at = 0 WHERE id = ?",
            (self._clock(), way, message_id, job_id),
        )

    async def delete(self, job_id: int, by: int | None = None) -> None:
        """Forget a job and remove its pictures from disk, except those that another job shows or works on. One that is
        not there is no error. `by` is who wanted that, where it is known."""
        async with self._uses.lock:
            used = await self._uses.of_job(job_id)
            async with self._database.transaction() as connection:
                # The audit is told by the deletion itself.
                await connection.execute("UPDATE job SET deleted_by = ? WHERE id = ?", (by, job_id))
                await connection.execute("DELETE FROM job WHERE id = ?", (job_id,))
            await self._uses.drop_unused(used)

    async def let_go(self, job_id: int) -> int:
        """Remove the pictures and uploads of a job that has ended from disk, as `delete` does, and keep the job; how
        many bytes that has freed."""
        async with self._uses.lock:
            used = await self._uses.of_job(job_id)
            await self._database.change("INSERT OR IGNORE INTO let_go VALUES (?, ?)", (job_id, self._clock()))
            return await self._uses.drop_unused(used)

    async def erase(self, member_id: int, up_to: int) -> None:
        """Forget all of a member, up to the job of this number, and remove their pictures from disk, except those that
        another member's job made as well. Twice does no harm."""
        await self.trainings.erase_of(member_id)
        await self.loras.erase_of(member_id)
        async with self._uses.lock:
            # First the files: what a kill leaves is still known then.
            for sha256 in await self.belongings.files(member_id, up_to):
                await self.pictures.drop(sha256)
                await self.trainings.withdraw(sha256)
            await self.belongings.erase(member_id, up_to)
        self.members.forget(member_id)

    async def withdraw(self, member_id: int, token: str) -> None:
        """Forget what may have been written down of this member's interaction, of which nobody was told."""
        await self._database.change(
            "DELETE FROM job WHERE member_id = ? AND token = ? AND state IN ('arriving', 'reading')",
            (member_id, token),
        )

    async def tidy(self) -> None:
        """Remove every picture that no job uses: what a kill or a full disk has left between a file and its row; and
        the words of deleted jobs."""
        await self._uses.tidy()
        await self.trainings.tidy()
        await self.loras.tidy()
        await self.finding.forget_deleted_words()

    async def in_state(self, state: State) -> list[Job]:
        """All jobs in one of the states that are no ends, oldest first."""
        # Said as the index says it: SQLite does not conclude it from the state.
        unfinished = "state IN ('arriving', 'reading', 'queued', 'running')"
        return await self._jobs(f"state = ? AND {unfinished} ORDER BY id", state)

    async def unsettled(self) -> list[Job]:
        """All jobs that are on their way in, oldest first."""
        return await self.in_state("reading") + await self.in_state("arriving")

    async def all_of(self, job_ids: Collection[int]) -> list[Job]:
        """Those of these jobs that there are."""
        return [job for job_id in job_ids if (job := await self.find(job_id)) is not None]

    async def undelivered(self) -> list[Job]:
        """The jobs that ended without their member having heard of it, oldest first."""
        return await self._jobs("delivered_at IS NULL AND state IN ('finished', 'failed', 'cancelled') ORDER BY id")

    def paths(self, job: Job) -> list[Path]:
        """Where the job's pictures lie, in order, unless somebody removed them by hand."""
        return [self.path(picture.sha256) for picture in job.pictures]

    def path(self, sha256: str) -> Path:
        """Where the picture of this hash lies, on the same terms."""
        return self.pictures.path(sha256)

    async def recipe(self, job_id: int) -> dict[str, Any] | None:
        """What made a job's pictures, or None where it has made none."""
        row = await self._database.row("SELECT recipe FROM job WHERE id = ?", (job_id,))
        return msgspec.json.decode(row["recipe"]) if row and row["recipe"] else None

    async def of_message(self, message_id: int) -> Job | None:
        """The job that this message answers, or None."""
        row = await self._database.row("SELECT * FROM job WHERE message_id = ? ORDER BY id DESC LIMIT 1", (message_id,))
        return await self._job(row) if row else None

    async def of_picture(self, sha256: str) -> list[Job]:
        """The jobs that made exactly this file, oldest first."""
        return await self._jobs("id IN (SELECT job_id FROM picture WHERE sha256 = ?) ORDER BY id", sha256)

    async def _change(self, job_id: int, statement: str, *values: object) -> Job | None:
        rows = await self._database.change(f"{statement} RETURNING *", (*values, job_id))
        return await self._job(rows[0]) if rows else None

    async def _jobs(self, where: str, *parameters: object) -> list[Job]:
        rows = await self._database.rows(f"SELECT * FROM job WHERE {where}", parameters)
        return [await self._job(row) for row in rows]

    async def _job(self, row: sqlite3.Row) -> Job:
        pictures: list[sqlite3.Row] = []
        if row["state"] == "finished":
            pictures = await self._database.rows(PICTURES, (row["id"],))
        return of_row(row, pictures)
