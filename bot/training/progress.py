"""What becomes of trainings by themselves: their turn, their steps and epochs, their ends."""

from __future__ import annotations

from bot.database import Database
from bot.training.states import Training, of_row
from bot.training.store import Trainings

MOST_DEATHS = 3
"""A training whose process died so often without a step gained fails: another try would most likely end the same."""


class Progress:
    """What the runner changes; it returns as what a member changes does."""

    def __init__(self, database: Database, trainings: Trainings) -> None:
        self._database = database
        self._trainings = trainings

    async def resume(self) -> None:
        """Let what was trained when the bot ended wait again, at the head of the line."""
        await self._database.change("UPDATE training SET state = 'waiting' WHERE state = 'training'")

    async def begin_next(self) -> Training | None:
        """Let the first that waits be trained; None where none does, or one is."""
        rows = await self._database.change(
            "UPDATE training SET state = 'training', started_at = coalesce(started_at, ?1), ended_at = NULL WHERE id ="
            " (SELECT id FROM training WHERE state = 'waiting' ORDER BY submitted_at, id LIMIT 1)"
            " AND NOT EXISTS (SELECT 1 FROM training WHERE state = 'training') RETURNING *",
            (self._trainings.now(),),
        )
        return self._trainings.changed(of_row(rows[0])) if rows else None

    async def planned(self, training_id: int, step: int, steps: int, epochs: int) -> Training | None:
        """Its process has begun, or goes on from this step."""
        return await self._trainings.change(
            "UPDATE training SET step = ?3, steps = ?4, epochs = ?5 WHERE id = ?1 AND state = 'training' RETURNING *",
            training_id,
            step,
            steps,
            epochs,
        )

    async def epoch_ended(self, training_id: int, epoch: int, step: int, loss: float) -> Training | None:
        """An epoch has ended with this mean loss, and its files are there; one that is trained once more, after its
        process died, is the same."""
        await self._database.change(
            "INSERT OR IGNORE INTO training_epoch SELECT id, member_id, ?2, ?3, ?4, ?5 FROM training WHERE id = ?1",
            (training_id, epoch, step, loss, self._trainings.now()),
        )
        return await self._trainings.change(
            "UPDATE training SET step = max(step, ?3), epoch = max(epoch, ?4), changed_at = ?2"
            " WHERE id = ?1 RETURNING *",
            training_id,
            step,
            epoch,
        )

    async def ended(self, training_id: int) -> Training | None:
        """All steps are done. The last epoch is what came of it, unless its member has chosen another meanwhile."""
        return await self._trainings.change(
            "UPDATE training SET state = 'ended', ended_at = ?2, changed_at = ?2, step = coalesce(steps, step),"
            " loss = coalesce(?3, loss), chosen = coalesce(chosen, epoch), reason = NULL"
            " WHERE id = ?1 AND state = 'training' RETURNING *",
            training_id,
            self._trainings.noted(training_id)[1],
        )

    async def waits_again(self, training_id: int) -> Training | None:
        """Its process was ended, by nobody's fault: it keeps its place in the line."""
        return await self._trainings.change(
            "UPDATE training SET state = 'waiting', step = coalesce(?3, step), loss = coalesce(?4, loss)"
            " WHERE id = ?1 AND state = 'training' RETURNING *",
            training_id,
            *self._trainings.noted(training_id),
        )

    async def died(self, training_id: int, *, gained: bool) -> int:
        """Its process died; how often it has in a row, without a step gained. 0 where it is not trained any more."""
        rows = await self._database.change(
            "UPDATE training SET deaths = iif(?2, 1, deaths + 1) WHERE id = ?1 AND state = 'training' RETURNING *",
            (training_id, gained),
        )
        return int(rows[0]["deaths"]) if rows else 0
