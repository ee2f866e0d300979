"""What happened, as moderators and the operator read it: the SQL of the audit. No words and no pictures come in here.

What happens to jobs is written by the database itself (its triggers); all else is written here, with what it tells of.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiosqlite
import msgspec

from bot.database import Database
from bot.job import Reply
from inference.protocol import Reason, Request

TELLING = frozenset({"command", "model"})
"""Facts of reasons that are names of what is here: all others that are no numbers may be what a member typed."""

DAY_S = 86400.0

DAYS = 90
"""That a row stays where the operator says nothing."""

INSERT = (
    "INSERT INTO audit (at, what, guild_id, channel_id, member_id, by_id, kind, hashes, details)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

OF_ALL = "SELECT * FROM audit WHERE guild_id = :guild AND id < :before ORDER BY id DESC LIMIT :limit"

_NEWEST = (
    "SELECT * FROM (SELECT id FROM audit WHERE guild_id = :guild AND {whose} = :member AND id < :before"
    " ORDER BY id DESC LIMIT :limit)"
)
OF_MEMBER = (
    # Each half goes by an index of its own.
    f"SELECT * FROM audit WHERE id IN ({_NEWEST.format(whose='member_id')} UNION {_NEWEST.format(whose='by_id')})"
    " ORDER BY id DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row; ids as Discord gave them, the time in seconds since 1970."""

    id: int
    at: float
    what: str
    guild_id: int | None
    channel_id: int | None
    member_id: int | None
    by_id: int | None
    job_id: int | None
    kind: str | None
    hashes: tuple[str, ...]
    details: Mapping[str, Any]


class Audit:
    """The rows that nobody takes out before their time."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time, days: int = DAYS) -> None:
        """`days` is how long each stays."""
        self.days = days
        self._database = database
        self._clock = clock

    async def refused(self, reply: Reply, reason: Reason, kind: str, request: Request | None = None) -> None:
        """Write down by which rule a member was refused there, before there was a job."""
        hashes = [] if request is None else [hash_of(request)]
        row = self._row("refused", reply.guild_id, reply.channel_id, reply.member_id, None, kind, hashes, ruled(reason))
        await self._database.change(INSERT, row)

    async def write(
        self,
        connection: aiosqlite.Connection,
        what: str,
        guild_id: int,
        *,
        channel_id: int | None = None,
        member_id: int | None = None,
        by_id: int | None,
        details: Mapping[str, Any],
    ) -> None:
        """Write down what somebody changed, in the transaction that changes it."""
        await connection.execute(
            INSERT, self._row(what, guild_id, channel_id or None, member_id, by_id, None, [], details)
        )

    async def page(
        self, guild_id: int, member_id: int | None = None, *, before: int | None = None, limit: int
    ) -> list[Entry]:
        """What happened in a server, newest first: all of it, or what is about this member or was done by them.
        `before` is the number of the row that the page comes after."""
        values = {"guild": guild_id, "member": member_id, "before": before or 2**63 - 1, "limit": limit}
        rows = await self._database.rows(OF_ALL if member_id is None else OF_MEMBER, values)
        return [_entry(row) for row in rows]

    async def forget(self) -> int:
        """Remove the rows whose time is over; how many those were."""
        cut = self._clock() - self.days * DAY_S
        async with self._database.transaction() as connection:
            cursor = await connection.execute("DELETE FROM audit WHERE at < ?", (cut,))
            await connection.execute("DELETE FROM log_message WHERE at < ?", (cut,))
        return cursor.rowcount

    def _row(
        self,
        what: str,
        guild_id: int | None,
        channel_id: int | None,
        member_id: int | None,
        by_id: int | None,
        kind: str | None,
        hashes: list[str],
        details: Mapping[str, Any],
    ) -> tuple[Any, ...]:
        said = (msgspec.json.encode(each).decode() for each in (hashes, details))
        return (self._clock(), what, guild_id, channel_id, member_id, by_id, kind, *said)


def hash_of(request: Request) -> str:
    """SHA-256 of what was asked for, the job's number aside."""
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(request, job=0))).hexdigest()


def ruled(reason: Reason) -> dict[str, Any]:
    """Which rule it was, with its numbers, without what a member typed. The trigger of failures does the same."""
    facts = {name: fact for name, fact in reason.facts.items() if isinstance(fact, int | float) or name in TELLING}
    return {"rule": reason.name, "facts": facts}


def _entry(row: Any) -> Entry:
    hashes, details = (msgspec.json.decode(row[name]) for name in ("hashes", "details"))
    same = ("id", "at", "what", "guild_id", "channel_id", "member_id", "by_id", "job_id", "kind")
    return Entry(**{name: row[name] for name in same}, hashes=tuple(hashes), details=details)
