"""What a member does with their trainings: prepared, submitted, stopped, gone on with, erased. What becomes of them by
themselves is in `progress`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from bot.database import Database
from bot.errors import MemberError
from bot.policies.policy import Policy
from bot.training.kept import Kept
from bot.training.states import Share, Training, of_row
from inference.protocol import Ready, Reason, TrainingOrder, because
from inference.protocol.limits import training as limits

MOST_KEPT = 20
"""Trainings of one member, whatever has become of them: each may have gigabytes."""

UNBOUND = Policy()

MONTH_S = 30 * 86400.0

_ADD = (
    "INSERT INTO training (member_id, guild_id, channel_id, language, name, kind, trigger_words, consent, license,"
    " model, options, created_at, changed_at)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12"
    " WHERE (SELECT count(*) FROM training WHERE member_id = ?1) < ?13 RETURNING *"
)


class Trainings(Kept):
    """Every training that was not erased, for its member."""

    def __init__(self, database: Database, data: Path, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database, data, clock)
        self.let_go: Callable[[int], Awaitable[None]] = _nobody
        """Waits until no process uses the files of a training that was stopped or erased; the runner's."""
        self.is_offered = True
        """Whether anything is trained here."""

    async def add(
        self,
        order: TrainingOrder,
        *,
        member_id: int,
        guild_id: int | None,
        channel_id: int,
        language: str | None = None,
    ) -> Training:
        """A new draft. Raises MemberError where it cannot be so, or its member has too many."""
        order = _clean(order)
        _refuse(None if self.is_offered else because("training_off"))
        _refuse(limits.problem_of(order))
        values = (member_id, guild_id, channel_id, language, *_columns(order), self._clock(), MOST_KEPT)
        rows = await self._database.change(_ADD, values)
        if not rows:
            raise MemberError("You have {most} trainings and no more are kept: delete one of them.", most=MOST_KEPT)
        return self.changed(of_row(rows[0]))

    async def edit(self, training_id: int, order: TrainingOrder) -> Training | None:
        """Let a draft ask for this. Raises MemberError where that cannot be."""
        order = _clean(order)
        _refuse(limits.problem_of(order))
        return await self.change(
            "UPDATE training SET name = ?3, kind = ?4, trigger_words = ?5, consent = ?6, license = ?7, model = ?8,"
            " options = ?9, changed_at = ?2 WHERE id = ?1 AND state = 'draft' RETURNING *",
            training_id,
            *_columns(order),
        )

    async def add_pictures(self, training_id: int, files: Mapping[str, Path], captions: Mapping[str, str]) -> int:
        """Let these pictures be learned from too: PNG files by the hashes of their bytes, which stay where they are,
        and what they show, as far as that is known. How many were new; none where it is no draft any more.

        Raises MemberError where they would be too many, OSError where there is no room for them. A file that is gone
        is left out.
        """
        added = 0
        async with self._changing:
            there = {picture.sha256: picture.number for picture in await self.pictures(training_id)}
            new = [sha256 for sha256 in files if sha256 not in there]
            if (count := len(there) + len(new)) > limits.MOST_PICTURES:
                raise MemberError.of(because("many_pictures", count=count, most=limits.MOST_PICTURES))
            number = max(there.values(), default=0)
            for sha256 in new:
                number += 1
                caption = limits.one_line(captions.get(sha256, ""))
                _refuse(limits.problem_of_caption(caption))
                # First the file: one without a row is removed before anything is trained.
                try:
                    await asyncio.to_thread(self.folders.bring, files[sha256], training_id, number)
                except FileNotFoundError:
                    continue
                rows = await self._database.change(
                    "INSERT INTO training_picture (training_id, member_id, number, sha256, caption)"
                    " SELECT id, member_id, ?2, ?3, ?4 FROM training WHERE id = ?1 AND state = 'draft' RETURNING 1",
                    (training_id, number, sha256, caption),
                )
                if not rows:
                    await asyncio.to_thread(self.folders.drop, training_id, number)
                    break
                added += 1
        if added:
            await self._touch(training_id)
        return added

    async def remove_picture(self, training_id: int, number: int) -> bool:
        """Take a picture out of a draft; False where it has none of this number, or is none. Raises OSError."""
        async with self._changing:
            rows = await self._database.change(
                "DELETE FROM training_picture WHERE training_id = ? AND number = ? AND EXISTS"
                " (SELECT 1 FROM training WHERE id = training_id AND state = 'draft') RETURNING 1",
                (training_id, number),
            )
            if rows:
                await asyncio.to_thread(self.folders.drop, training_id, number)
        if rows:
            await self._touch(training_id)
        return bool(rows)

    async def set_captions(self, training_id: int, captions: Mapping[int, str]) -> int:
        """Say what pictures of a draft show, by their numbers; how many that are. Raises MemberError where one of
        them cannot be said: then none is."""
        said = {number: limits.one_line(caption) for number, caption in captions.items()}
        for caption in said.values():
            _refuse(limits.problem_of_caption(caption))
        changed = 0
        async with self._database.transaction() as connection:
            for number, caption in said.items():
                cursor = await connection.execute(
                    "UPDATE training_picture SET caption = ? WHERE training_id = ? AND number = ? AND EXISTS"
                    " (SELECT 1 FROM training WHERE id = training_id AND state = 'draft')",
                    (caption, training_id, number),
                )
                changed += cursor.rowcount
        if changed:
            await self._touch(training_id)
        return changed

    async def submit(self, training_id: int, ready: Ready, policy: Policy = UNBOUND) -> Training | None:
        """Let a draft wait for its turn, within what is allowed to its member where they are.

        Raises MemberError where it cannot be trained so.
        """
        if (training := await self.find(training_id)) is None or training.state != "draft":
            return None
        _refuse(None if self.is_offered else because("training_off"))
        count = len(await self.pictures(training_id))
        _refuse(limits.problem(training.order, count, ready))
        order = _allowed(training.order, count, ready, policy)
        now = self._clock()
        async with self._database.transaction() as connection:
            [[spent]] = await connection.execute_fetchall(
                "SELECT count(*) FROM training_spent WHERE member_id = ? AND guild_id IS ? AND at > ?",
                (training.member_id, training.guild_id, now - MONTH_S),
            )
            if policy.trainings is not None and spent >= policy.trainings:
                raise MemberError.of(because("trainings_of_member", count=spent, most=policy.trainings))
            rows = await connection.execute_fetchall(
                "UPDATE training SET state = 'waiting', submitted_at = ?2, changed_at = ?2, options = ?4"
                " WHERE id = ?1 AND state = 'draft'"
                " AND (SELECT count(*) FROM training_picture WHERE training_id = ?1) = ?3 RETURNING *",
                (training_id, now, count, _columns(order)[-1]),
            )
            if not (found := list(rows)):
                return None
            await connection.execute(
                "INSERT OR REPLACE INTO training_spent VALUES (?, ?, ?, ?)",
                (training_id, training.member_id, training.guild_id, now),
            )
        return self.changed(of_row(found[0]))

    async def stop(self, training_id: int) -> Training | None:
        """Let one that waits or is trained rest; what it has come to is kept."""
        return await self.change(
            "UPDATE training SET state = 'stopped', ended_at = ?2, changed_at = ?2, step = coalesce(?3, step),"
            " loss = coalesce(?4, loss)"
            " WHERE id = ?1 AND state IN ('waiting', 'training') RETURNING *",
            training_id,
            *self.noted(training_id),
        )

    async def go_on(self, training_id: int) -> Training | None:
        """Let one that was stopped, or that failed, wait for its turn again, behind all others."""
        return await self.change(
            "UPDATE training SET state = 'waiting', submitted_at = ?2, changed_at = ?2, ended_at = NULL, reason = NULL,"
            " deaths = 0 WHERE id = ?1 AND state IN ('stopped', 'failed') RETURNING *",
            training_id,
        )

    async def choose(self, training_id: int, epoch: int) -> Training | None:
        """Let this epoch, which has ended, be what comes of it."""
        return await self.change(
            "UPDATE training SET chosen = ?3, changed_at = ?2 WHERE id = ?1 AND state <> 'draft'"
            " AND EXISTS (SELECT 1 FROM training_epoch WHERE training_id = ?1 AND epoch = ?3) RETURNING *",
            training_id,
            epoch,
        )

    async def set_share(self, training_id: int, share: Share) -> Training | None:
        """Say who may use what came of it. Whether they may is decided where LoRAs are."""
        return await self.change(
            "UPDATE training SET share = ?3, changed_at = ?2 WHERE id = ?1 RETURNING *", training_id, share
        )

    async def set_message(self, training_id: int, channel_id: int, message_id: int | None) -> Training | None:
        """Say in which message its panel stands."""
        return await self.change(
            "UPDATE training SET channel_id = ?3, message_id = ?4 WHERE id = ?1 RETURNING *",
            training_id,
            channel_id,
            message_id,
        )

    async def erase(self, training_id: int) -> bool:
        """Forget a training with all its files, and end its process; False where there is none. Once this returns
        nothing of it is on the disk. Raises OSError."""
        async with self._changing:
            gone = await self._database.change("DELETE FROM training WHERE id = ? RETURNING 1", (training_id,))
        self._live.pop(training_id, None)
        self._tell(training_id)
        await self.let_go(training_id)
        async with self._changing:
            await asyncio.to_thread(self.folders.remove, training_id)
        return bool(gone)

    async def withdraw(self, sha256: str) -> None:
        """Learn no more from this picture, whose owner is erased: its file goes wherever it was brought. One that is
        trained on it just now ends, and what has come of others stays."""
        async with self._changing:
            rows = await self._database.change(
                "DELETE FROM training_picture WHERE sha256 = ? RETURNING training_id, number", (sha256,)
            )
            for row in rows:
                await asyncio.to_thread(self.folders.drop, row["training_id"], row["number"])
        for row in rows:
            await self.fail(row["training_id"], because("training_withdrawn"))

    async def erase_of(self, member_id: int) -> None:
        """The same of all of a member's. Twice does no harm."""
        for training in await self.of_member(member_id):
            await self.erase(training.id)


async def _nobody(_: int) -> None:
    return


def _clean(order: TrainingOrder) -> TrainingOrder:
    """The order as it is kept: texts in one line."""
    said = {field: limits.one_line(getattr(order, field)) for field in ("name", "trigger", "consent", "license")}
    return msgspec.structs.replace(order, **said)


def _columns(order: TrainingOrder) -> tuple[str, ...]:
    options = msgspec.json.encode(order.options).decode()
    return (order.name, order.kind, order.trigger, order.consent, order.license, order.model, options)


def _allowed(order: TrainingOrder, pictures: int, ready: Ready, policy: Policy) -> TrainingOrder:
    """The order with steps that are made to fit where its member said none. Raises MemberError where it asks for more
    than is allowed."""
    if policy.training_pictures is not None and pictures > policy.training_pictures:
        raise MemberError.of(because("training_pictures_allowed", count=pictures, most=policy.training_pictures))
    model, most, steps = ready.model(order.model), policy.training_steps, order.options.steps
    assert model is not None, "the rule was asked"
    assert model.training is not None, "the rule was asked"
    if most is None:
        return order
    if steps is not None and steps > most:
        raise MemberError.of(because("training_steps_allowed", count=steps, most=most))
    own = min(steps or model.training.steps, most)
    return msgspec.structs.replace(order, options=msgspec.structs.replace(order.options, steps=own))


def _refuse(reason: Reason | None) -> None:
    if reason is not None:
        raise MemberError.of(reason)
