"""All that the database has of one member, found by its schema: what a later migration adds is exported and erased with
the rest, if it calls members `member_id` and jobs `job_id`.

What becomes of files and of messages is for `jobs` and `erasure`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bot.database import Database

STAY = frozenset({"audit", "blocked_member", "cost", "erasure", "farewell", "log_message", "spent", "training_spent"})
"""Tables that an erasure leaves: what moderators are told, their blocks and what counts for their
limits, for a day or, where it is money or trainings, a month, which nobody shakes off by it; and its own."""

_SECRET = frozenset({"token", "token_expires_at", "secret_sha256"})
"""Columns that are no business of a member's: by them one speaks as Easel, or proves to be a program of theirs."""

_EXACT = 2**53
"""Larger whole numbers are rounded by many programs that read JSON: they are written as texts."""

_TABLES = (
    "SELECT tables.name AS name, group_concat(columns.name) AS columns FROM sqlite_schema AS tables,"
    " pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' AND columns.name IN ('member_id', 'job_id')"
    " GROUP BY tables.name ORDER BY tables.name"
)

_FAREWELL = (
    "INSERT OR IGNORE INTO farewell SELECT member_id, guild_id, channel_id, message_id, delivered_to IS 'member'"
    " FROM job WHERE member_id = ? AND id <= ? AND message_id IS NOT NULL"
)

_FAREWELL_OF_TRAININGS = (
    "INSERT OR IGNORE INTO farewell SELECT member_id, guild_id, channel_id, message_id, 0"
    " FROM training WHERE member_id = ? AND message_id IS NOT NULL"
)

_OTHERS = (
    "EXISTS (SELECT 1 FROM {table} JOIN job ON job.id = {table}.job_id WHERE {table}.sha256 = own.sha256"
    " AND (job.member_id <> :member OR job.id > :up_to))"
)
_FILES = (
    "SELECT sha256 FROM (SELECT sha256, max(made) AS made FROM"
    " (SELECT job_id, sha256, 1 AS made FROM picture UNION ALL SELECT job_id, sha256, 0 FROM input)"
    " WHERE job_id IN (SELECT id FROM job WHERE member_id = :member AND id <= :up_to) GROUP BY sha256) AS own"
    f" WHERE NOT {_OTHERS.format(table='picture')} AND (made OR NOT {_OTHERS.format(table='input')})"
)

Row = dict[str, Any]


class Belongings:
    """What is kept of members."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self, member_id: int) -> tuple[int, int]:
        """How many jobs and pictures of a member there are."""
        row = await self._database.row(
            "SELECT (SELECT count(*) FROM job WHERE member_id = :member) AS jobs, (SELECT count(*) FROM picture"
            " WHERE job_id IN (SELECT id FROM job WHERE member_id = :member)) AS pictures",
            {"member": member_id},
        )
        assert row is not None, "it counts"
        return row["jobs"], row["pictures"]

    async def beside_jobs(self, member_id: int) -> dict[str, list[Row]]:
        """Every row that names a member, by its table; jobs are left to `jobs`."""
        found = {}
        for table, columns in await self._tables():
            if "member_id" in columns and table != "job":
                rows = await self._database.rows(f"SELECT * FROM {table} WHERE member_id = ?", (member_id,))
                found[table] = [_plain(row) for row in rows]
        return found

    async def jobs(self, member_id: int, before: int, limit: int) -> list[Row]:
        """A member's jobs below this number, newest first, each with the rows of other tables that belong to it."""
        owned = [table for table, columns in await self._tables() if "member_id" not in columns]
        found = []
        for row in await self._database.rows(
            "SELECT * FROM job WHERE member_id = ? AND id < ? ORDER BY id DESC LIMIT ?", (member_id, before, limit)
        ):
            job = _plain(row)
            for table in owned:
                rows = await self._database.rows(f"SELECT * FROM {table} WHERE job_id = ?", (row["id"],))
                job[table] = [_plain(one, but=("job_id",)) for one in rows]
            found.append(job)
        return found

    async def doom(self, member_id: int) -> int:
        """Write down that all is to be erased, and which messages answered it; returns the number of the newest job
        that is meant."""
        async with self._database.transaction() as connection:
            [row] = await connection.execute_fetchall(
                "INSERT INTO erasure SELECT ?, coalesce(max(id), 0) FROM job WHERE true"
                " ON CONFLICT (member_id) DO UPDATE SET up_to = max(up_to, excluded.up_to) RETURNING up_to",
                (member_id,),
            )
            await connection.execute(_FAREWELL, (member_id, row["up_to"]))
            await connection.execute(_FAREWELL_OF_TRAININGS, (member_id,))
        return int(row["up_to"])

    async def doomed(self) -> dict[int, int]:
        """Whose erasure has not come to its end, and up to which job it goes."""
        return {row["member_id"]: row["up_to"] for row in await self._database.rows("SELECT * FROM erasure")}

    async def restless(self, member_id: int, up_to: int) -> list[int]:
        """A member's jobs, up to this number, that have not ended, or of whose end they have not heard."""
        rows = await self._database.rows(
            "SELECT id FROM job WHERE member_id = ? AND id <= ? AND delivered_at IS NULL ORDER BY id",
            (member_id, up_to),
        )
        return [row["id"] for row in rows]

    async def files(self, member_id: int, up_to: int) -> list[str]:
        """The hashes of the files that a member alone has: what was made for them is theirs, also where somebody else
        works on it, and what they uploaded where nobody else did."""
        rows = await self._database.rows(_FILES, {"member": member_id, "up_to": up_to})
        return [row["sha256"] for row in rows]

    async def erase(self, member_id: int, up_to: int) -> None:
        """Delete every row of a member, all or nothing. Jobs that came later stay."""
        tables = await self._tables()
        async with self._database.transaction() as connection:
            await connection.execute(_FAREWELL, (member_id, up_to))
            await connection.execute("DELETE FROM job WHERE member_id = ? AND id <= ?", (member_id, up_to))
            for table, columns in tables:
                if "member_id" in columns and table not in {"job", *STAY}:
                    await connection.execute(f"DELETE FROM {table} WHERE member_id = ?", (member_id,))

    async def messages(self, member_id: int) -> list[sqlite3.Row]:
        """The messages of what was erased that are still there, newest first."""
        return await self._database.rows(
            "SELECT * FROM farewell WHERE member_id = ? ORDER BY message_id DESC", (member_id,)
        )

    async def taken_away(self, member_id: int, message_id: int) -> None:
        """Write down that a message is gone, or never will be."""
        await self._database.change(
            "DELETE FROM farewell WHERE member_id = ? AND message_id = ?", (member_id, message_id)
        )

    async def erased(self, member_id: int, up_to: int) -> bool:
        """Write down that an erasure has come to its end; False where more was asked for meanwhile."""
        gone = await self._database.change(
            "DELETE FROM erasure WHERE member_id = ? AND up_to = ? AND NOT EXISTS"
            " (SELECT 1 FROM farewell WHERE farewell.member_id = erasure.member_id) RETURNING 1",
            (member_id, up_to),
        )
        return bool(gone)

    async def scrub(self) -> None:
        """Leave nothing of what was deleted in the database's files."""
        await self._database.scrub()

    async def _tables(self) -> Iterable[tuple[str, set[str]]]:
        return [(row["name"], set(row["columns"].split(","))) for row in await self._database.rows(_TABLES)]


def _plain(row: Mapping[str, Any] | sqlite3.Row, but: Iterable[str] = ()) -> Row:
    """A row as JSON takes it: what is JSON in it already is opened."""
    hidden = _SECRET.union(but)
    return {name: _opened(row[name]) for name in row.keys() if name not in hidden}  # noqa: SIM118 — a row is no mapping


def _opened(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > _EXACT:
        return str(value)
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return msgspec.json.decode(value)
        except msgspec.MsgspecError:
            return value
    return value
