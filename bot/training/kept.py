"""The rows of trainings: what there is, and one change of one, of which whoever listens hears. What a member does with
theirs is in `store`, what the trainer says of them in `progress`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bot.database import Database
from bot.training.folders import Folders
from bot.training.states import Training, TrainingEpoch, TrainingPicture, epoch_of_row, of_row, picture_of_row
from inference.protocol import Reason

Listener = Callable[[int], None]
"""Is told the number of a training that is another than before, or gone. Must return at once."""

NUMBERS = 10**6
"""More than a training ever has pictures."""


class Kept:
    """Every training that was not erased.

    What changes one returns it as it is then, or None where it is gone or in no state for that: then nothing was
    changed, so that two at once change nothing twice.
    """

    def __init__(self, database: Database, data: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self.folders = Folders(data)
        self._clock = clock
        self._listeners: list[Listener] = []
        self._live: dict[int, tuple[int, float]] = {}
        """Step and loss of what is training, where they are newer than the row."""
        self._changing = asyncio.Lock()
        """Held while files and rows of pictures go together."""

    def listen(self, listener: Listener) -> None:
        """From now on this is told of every change."""
        self._listeners.append(listener)

    def now(self) -> float:
        """In seconds since 1970."""
        return self._clock()

    async def find(self, training_id: int) -> Training | None:
        """The training of this number, None where there is none."""
        if not 0 < training_id < 2**63:
            return None
        row = await self._database.row("SELECT * FROM training WHERE id = ?", (training_id,))
        return None if row is None else self._fresh(of_row(row))

    async def of_member(self, member_id: int) -> list[Training]:
        """A member's trainings, newest first."""
        return await self._all("WHERE member_id = ? ORDER BY id DESC", member_id)

    async def of_guild(self, guild_id: int | None) -> list[Training]:
        """A server's trainings, newest first; those of direct messages for None."""
        return await self._all("WHERE guild_id IS ? ORDER BY id DESC", guild_id)

    async def posted(self, since: float) -> list[Training]:
        """Those that have a message and go on, or have changed since then."""
        return await self._all(
            "WHERE message_id IS NOT NULL AND (state IN ('waiting', 'training') OR changed_at > ?)", since
        )

    async def servers(self) -> list[int | None]:
        """Those in which there are trainings; None for direct messages."""
        rows = await self._database.rows("SELECT DISTINCT guild_id FROM training")
        return [row["guild_id"] for row in rows]

    async def rested(self, guild_id: int | None, since: float) -> list[Training]:
        """Those of a server of which nothing goes on, and that have not changed since then."""
        return await self._all(
            "WHERE guild_id IS ? AND changed_at < ? AND state NOT IN ('waiting', 'training')", guild_id, since
        )

    async def line(self) -> list[Training]:
        """Those that wait or are trained, in the order of their turns."""
        return await self._all("WHERE state IN ('waiting', 'training') ORDER BY state = 'waiting', submitted_at, id")

    async def place(self, training_id: int) -> int | None:
        """How many go before one that waits; None where it does not wait."""
        waiting = [training.id for training in await self.line()]
        return waiting.index(training_id) if training_id in waiting else None

    async def unlanded(self, training_id: int) -> Reason | None:
        """Why what was chosen of it has not become a LoRA; None where it has, or will."""
        row = await self._database.row("SELECT problem FROM landing WHERE training_id = ?", (training_id,))
        return None if row is None or row["problem"] is None else msgspec.json.decode(row["problem"], type=Reason)

    async def pictures(self, training_id: int) -> list[TrainingPicture]:
        """Its pictures, in order."""
        rows = await self._database.rows(
            "SELECT * FROM training_picture WHERE training_id = ? ORDER BY number", (training_id,)
        )
        return [picture_of_row(row) for row in rows]

    async def taken_along(self, member_id: int, before: int, limit: int) -> list[dict[str, Any]]:
        """The pictures of a member's trainings below this number, newest first, as `archive` takes jobs: each with a
        number, its words, and the file `folders.taken_along` knows."""
        rows = await self._database.rows(
            "SELECT * FROM training_picture WHERE member_id = ? AND training_id * ? + number < ?"
            " ORDER BY training_id DESC, number DESC LIMIT ?",
            (member_id, NUMBERS, before, limit),
        )
        return [
            {
                "id": row["training_id"] * NUMBERS + row["number"],
                "training": row["training_id"],
                "caption": row["caption"],
                "input": [{"position": 0, "sha256": f"{row['training_id']}/{row['number']}"}],
            }
            for row in rows
        ]

    async def epochs(self, training_id: int) -> list[TrainingEpoch]:
        """Its epochs that have ended, in order."""
        rows = await self._database.rows(
            "SELECT * FROM training_epoch WHERE training_id = ? ORDER BY epoch", (training_id,)
        )
        return [epoch_of_row(row) for row in rows]

    async def change(self, sql: str, training_id: int, *values: Any) -> Training | None:
        """Make one change of a training's row, which is ?1, at the time ?2, with further values from ?3 on; all hear of
        it. For this package alone."""
        rows = await self._database.change(sql, (training_id, self._clock(), *values))
        return self.changed(of_row(rows[0])) if rows else None

    async def fail(self, training_id: int, reason: Reason) -> Training | None:
        """What is trained cannot go on, for this reason."""
        return await self.change(
            "UPDATE training SET state = 'failed', ended_at = ?2, changed_at = ?2, reason = ?3,"
            " step = coalesce(?4, step), loss = coalesce(?5, loss)"
            " WHERE id = ?1 AND state = 'training' RETURNING *",
            training_id,
            msgspec.json.encode(reason).decode(),
            *self.noted(training_id),
        )

    def note(self, training_id: int, step: int, loss: float) -> None:
        """So many steps of what is training are done; all hear of it, and the row is not written for each."""
        self._live[training_id] = (step, loss)
        self._tell(training_id)

    async def lay_out(self, training_id: int) -> bool:
        """Lay out what one that is trained learns from; False where it is not trained any more. Raises OSError,
        FileNotFoundError where a picture is gone."""
        async with self._changing:
            training, pictures = await self.find(training_id), await self.pictures(training_id)
            if training is None or training.state != "training":
                return False
            await asyncio.to_thread(self.folders.write, training, pictures)
        return True

    async def tidy(self) -> None:
        """Remove the files of what is gone: what a kill has left. Raises OSError."""
        async with self._changing:
            found = await asyncio.to_thread(self.folders.found)
            rows = await self._database.rows(
                "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM training WHERE id = value)",
                (msgspec.json.encode(found).decode(),),
            )
            await asyncio.to_thread(self.folders.tidy, {row["value"] for row in rows})

    def noted(self, training_id: int) -> tuple[int | None, float | None]:
        """Step and loss that were noted last."""
        return self._live.get(training_id, (None, None))

    def changed(self, training: Training) -> Training:
        """Tell of a training that was just changed to this, and return it. For this package alone."""
        if training.state != "training":
            self._live.pop(training.id, None)
        self._tell(training.id)
        return training

    def _tell(self, training_id: int) -> None:
        for listener in self._listeners:
            listener(training_id)

    def _fresh(self, training: Training) -> Training:
        if training.state != "training" or (live := self._live.get(training.id)) is None:
            return training
        return dataclasses.replace(training, step=live[0], loss=live[1])

    async def _touch(self, training_id: int) -> None:
        await self.change("UPDATE training SET changed_at = ?2 WHERE id = ?1 RETURNING *", training_id)

    async def _all(self, which: str, *values: Any) -> list[Training]:
        rows = await self._database.rows(f"SELECT * FROM training {which}", values)
        return [self._fresh(of_row(row)) for row in rows]
