"""Every LoRA of members: landed, shared, decided about, renamed, deleted. In memory as well, since every command asks
which there are.

Whoever changes one asks first whether they may: that is for `sharing`, and for the commands.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.audit import Audit
from bot.database import Database
from bot.errors import MemberError
from bot.job import Reply
from bot.loras.files import Files
from bot.loras.lora import LoraFile, MemberLora, ShareState, file_of_row, of_row
from bot.policies.texts import paintings
from bot.training.states import Share, Training
from bot.words import N_
from inference.protocol import MEMBERS_WEIGHT, Ready, Reason, Request, because
from inference.protocol.limits import training as limits

GONE = N_("The LoRA {lora} is gone, it was deleted or erased: leave it out.")
NOT_SHARED = N_("The LoRA {lora} is somebody else's and is not shared here: leave it out, or ask its owner.")
NAME_TAKEN = N_("There is another LoRA called {lora} for those who would see this one: rename yours first.")

_LAND = (
    "INSERT INTO lora (member_id, guild_id, training_id, name, trigger_words, kind, consent, license, pictures, model,"
    " family, weight, epoch, sha256, made_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (training_id) DO UPDATE SET epoch = excluded.epoch, sha256 = excluded.sha256 RETURNING *"
)


@dataclass(frozen=True, slots=True)
class Landed:
    """The files of an epoch, as its trainer has left them."""

    epoch: int
    lora: Path
    """In diffusers' layout."""
    kohya: Path
    preview: Path | None


class Loras:
    """`load` them once. One process alone changes them, but for its operator, whose changes `look` finds."""

    def __init__(self, database: Database, data: Path, audit: Audit, clock: Callable[[], float] = time.time) -> None:
        self.store = Files(data)
        self._database = database
        self._audit = audit
        self._clock = clock
        self._changing = asyncio.Lock()
        """Held while files and rows go together, and from a change to what is in memory."""
        self._all: dict[int, MemberLora] = {}
        self._of_hash: dict[str, list[int]] = {}
        self._seen = -1

    async def load(self) -> None:
        """Read all of them."""
        row = await self._database.row("SELECT number FROM lora_change")
        assert row is not None, "it is there from the beginning"
        self._all = {row["id"]: of_row(row) for row in await self._database.rows("SELECT * FROM lora ORDER BY id")}
        of_hash: dict[str, list[int]] = defaultdict(list)
        for one in await self._database.rows("SELECT lora_id, sha256 FROM lora_file"):
            of_hash[one["sha256"]].append(one["lora_id"])
        self._of_hash, self._seen = dict(of_hash), row["number"]

    async def look(self) -> None:
        """Read them again where somebody else has changed any."""
        row = await self._database.row("SELECT number FROM lora_change")
        if row is not None and row["number"] != self._seen:
            async with self._changing:
                await self.load()

    def find(self, lora_id: int) -> MemberLora | None:
        """The LoRA of this number, None where there is none."""
        return self._all.get(lora_id)

    def of_training(self, training_id: int) -> MemberLora | None:
        """What a training has become, None where nothing, or nothing any more."""
        return next((one for one in self._all.values() if one.training_id == training_id), None)

    def of_member(self, member_id: int) -> list[MemberLora]:
        """A member's own, newest first."""
        return [one for one in reversed(self._all.values()) if one.member_id == member_id]

    def of_guild(self, guild_id: int) -> list[MemberLora]:
        """Those that are shared with a server, or are to be, those first that wait for its moderators."""
        found = [one for one in reversed(self._all.values()) if one.guild_id == guild_id and one.share != "own"]
        return sorted(found, key=lambda one: one.state != "pending")

    def all(self) -> Sequence[MemberLora]:
        """All of them, oldest first."""
        return list(self._all.values())

    def offered(self, ready: Ready, member_id: int, guild_id: int | None) -> Ready:
        """What an engine can do, with the LoRAs of members that this one may paint with there: their own before all
        others, those of others behind what the catalogue has."""
        catalogue = {one.name for one in ready.loras}
        mine = [one for one in self._all.values() if one.member_id == member_id]
        others = [
            one
            for one in self._all.values()
            if one.member_id != member_id and one.is_for(member_id, guild_id) and one.name not in catalogue
        ]
        if not mine and not others:
            return ready
        return ready.with_own(ready.own_lora(one.own(), one.trigger) for one in (*mine, *others))

    def problem(self, request: Request, reply: Reply) -> Reason | None:
        """Why a request may not be painted with the LoRAs that it brings; None where it may. It is asked when a job
        comes in, and again when its turn has come."""
        for own in (own for painting in paintings(request) for own in painting.own_loras):
            known = [self._all[lora_id] for lora_id in self._of_hash.get(own.sha256, ()) if lora_id in self._all]
            if not known:
                return because(GONE, lora=own.name)
            if not any(one.is_for(reply.member_id, reply.guild_id) for one in known):
                return because(NOT_SHARED, lora=own.name)
        return None

    async def files_of(self, lora_id: int) -> list[LoraFile]:
        """All that a LoRA ever was, by epochs."""
        rows = await self._database.rows("SELECT * FROM lora_file WHERE lora_id = ? ORDER BY epoch", (lora_id,))
        return [file_of_row(row) for row in rows]

    async def file_of(self, lora: MemberLora) -> LoraFile | None:
        """What it is now."""
        return next((file for file in await self.files_of(lora.id) if file.epoch == lora.epoch), None)

    async def preview_of(self, file: LoraFile | None) -> Path | None:
        """Where the picture lies that shows what it does, if there is one."""
        path = None if file is None or file.preview_sha256 is None else self.store.preview(file.preview_sha256)
        return path if path is not None and await asyncio.to_thread(path.is_file) else None

    async def bytes_of(self, guild_id: int) -> int:
        """How much the LoRAs of a server take of the disk."""
        row = await self._database.row(
            "SELECT coalesce(sum(bytes), 0) AS bytes FROM lora_file JOIN lora ON lora.id = lora_id"
            " WHERE lora.guild_id = ?",
            (guild_id,),
        )
        assert row is not None, "it sums"
        return int(row["bytes"])

    async def land(self, training: Training, pictures: int, family: str, landed: Landed) -> MemberLora:
        """Let an epoch of a training be a LoRA of its member's, or what that is from now on. All or nothing; twice is
        once. Raises OSError, FileNotFoundError where a file is gone."""
        async with self._changing:
            sha256, size = await asyncio.to_thread(self.store.take, landed.lora)
            kohya_sha256, kohya_size = await asyncio.to_thread(self.store.take, landed.kohya)
            preview_sha256, preview_size = None, 0
            if landed.preview is not None:
                preview_sha256, preview_size = await asyncio.to_thread(self.store.take, landed.preview)
            now, size = self._clock(), size + kohya_size + preview_size
            async with self._database.transaction() as connection:
                if not await connection.execute_fetchall("SELECT 1 FROM training WHERE id = ?", (training.id,)):
                    # It was erased meanwhile, perhaps with all else of its member.
                    raise FileNotFoundError(f"training {training.id}")
                taken = await connection.execute_fetchall(
                    "SELECT name FROM lora WHERE member_id = ? AND training_id IS NOT ?",
                    (training.member_id, training.id),
                )
                [row] = await connection.execute_fetchall(
                    _LAND,
                    (
                        training.member_id,
                        training.guild_id,
                        training.id,
                        _free(training.name, {name for (name,) in taken}),
                        training.trigger,
                        training.kind,
                        training.consent,
                        training.license,
                        pictures,
                        training.model,
                        family,
                        MEMBERS_WEIGHT,
                        landed.epoch,
                        sha256,
                        now,
                    ),
                )
                file = (row["id"], row["member_id"], landed.epoch, sha256, kohya_sha256, preview_sha256, size, now)
                await connection.execute("INSERT OR REPLACE INTO lora_file VALUES (?, ?, ?, ?, ?, ?, ?, ?)", file)
            await self.load()
            return of_row(row)

    async def rename(self, lora_id: int, name: str) -> MemberLora | None:
        """Call it otherwise; None where it is gone. Raises MemberError where it cannot be called so."""
        if re.fullmatch(limits.NAME, name) is None:
            raise MemberError.of(because("training_name", typed=name[: limits.MAX_NAME_CHARS]))
        return await self._change("UPDATE lora SET name = ?2 WHERE id = ?1 RETURNING *", lora_id, name, called=name)

    async def share(
        self, lora_id: int, share: Share, state: ShareState, guild_id: int | None, by: int
    ) -> MemberLora | None:
        """Write down with whom its owner wants it shared, and whether it is so; None where it is gone. Raises
        MemberError where another is called so."""
        return await self._change(
            "UPDATE lora SET share = ?2, state = ?3, guild_id = coalesce(?4, guild_id), decided_by = NULL, told = 1"
            " WHERE id = ?1 RETURNING *",
            lora_id,
            share,
            state,
            guild_id,
            what="lora shared" if share == "server" and state == "usable" else None,
            by=by,
        )

    async def decide(self, lora_id: int, state: ShareState, by: int) -> MemberLora | None:
        """Let it be shared as its owner wants, or not (any more); None where it is so already, or its owner does not
        want that any more. Raises MemberError where another is called so."""
        return await self._change(
            "UPDATE lora SET state = ?2, decided_by = ?3, told = 0 WHERE id = ?1 AND share <> 'own' AND state <> ?2"
            " RETURNING *",
            lora_id,
            state,
            by,
            what="lora approved" if state == "usable" else "lora refused",
            by=by,
        )

    async def told(self, lora_id: int) -> None:
        """Write down that its owner has heard what was decided, or cannot."""
        await self._change("UPDATE lora SET told = 1 WHERE id = ?1 RETURNING *", lora_id)

    async def delete(self, lora_id: int, by: int | None = None) -> bool:
        """Remove it with all its files; False where it is gone already. `by` is the moderator who does it."""
        return await self._remove("id = ?", lora_id, by)

    async def erase_of(self, member_id: int) -> None:
        """Remove all of a member's, and that they decided about others'. Twice does no harm."""
        await self._database.change("UPDATE lora SET decided_by = NULL WHERE decided_by = ?", (member_id,))
        await self._remove("member_id = ?", member_id)

    async def tidy(self) -> None:
        """Remove the files that nobody knows: what a kill has left. Raises OSError."""
        async with self._changing:
            await asyncio.to_thread(self.store.tidy, await self._wanted())

    async def _wanted(self) -> set[str]:
        rows = await self._database.rows("SELECT sha256, kohya_sha256, preview_sha256 FROM lora_file")
        return {sha256 for row in rows for sha256 in row if sha256 is not None}

    async def _change(
        self,
        sql: str,
        lora_id: int,
        *values: object,
        called: str | None = None,
        what: str | None = None,
        by: int | None = None,
    ) -> MemberLora | None:
        """Make one change of a LoRA, which may be `called` otherwise by it, with what the audit has to know of it."""
        async with self._changing:
            try:
                async with self._database.transaction() as connection:
                    rows = list(await connection.execute_fetchall(sql, (lora_id, *values)))
                    if rows and what is not None and rows[0]["guild_id"] is not None:
                        await self._note(connection, what, rows[0], by)
            except sqlite3.IntegrityError as error:
                raise MemberError(NAME_TAKEN, lora=called or self._all[lora_id].name) from error
            await self.load()
        return of_row(rows[0]) if rows else None

    async def _remove(self, which: str, value: int, by: int | None = None) -> bool:
        async with self._changing:
            files = await self._database.rows(
                "SELECT sha256, kohya_sha256, preview_sha256 FROM lora_file WHERE lora_id IN"
                f" (SELECT id FROM lora WHERE {which})",
                (value,),
            )
            async with self._database.transaction() as connection:
                rows = list(await connection.execute_fetchall(f"DELETE FROM lora WHERE {which} RETURNING *", (value,)))
                for row in rows:
                    if by is not None and row["guild_id"] is not None:
                        await self._note(connection, "lora removed", row, by)
            await self.load()
            # What a kill leaves here the next start removes (`tidy`).
            gone = {sha256 for row in files for sha256 in row if sha256 is not None}
            await asyncio.to_thread(self.store.drop, gone - await self._wanted())
        return bool(rows)

    async def _note(self, connection: object, what: str, row: sqlite3.Row, by: int | None) -> None:
        await self._audit.write(
            connection,  # type: ignore[arg-type]
            what,
            row["guild_id"],
            member_id=row["member_id"],
            by_id=by,
            details={"lora": row["id"]},
        )


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or where it is taken the first of those with a number behind it that is not."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name[: limits.MAX_NAME_CHARS - 4]}-{number}"
    return free
