"""The keys by which programs ask for pictures as a member: made, known again, taken back. What is asked by them is for
`serving`.

A key itself is kept nowhere: it is shown once, and known again by its hash. It has 256 random bits, so that a plain
hash is enough and nobody can try them all.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bot.database import BUSY_MS, Database
from bot.errors import MemberError, OperatorError

PREFIX = "easel-"
"""By which people, and what looks for leaked keys, see what it is."""

SECRET_BYTES = 32
MOST_OF_MEMBER = 10
NAME_CHARS = 60

USED_EVERY_S = 60.0
"""When a key was last used is known to within so much: not every request has to be written down."""

_MAKE = (
    "INSERT INTO api_key (member_id, guild_id, channel_id, name, secret_sha256, language, made_at)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM api_key WHERE member_id = ?1) < ?8 RETURNING *"
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key, but for what it is; times in seconds since 1970."""

    id: int
    member_id: int
    guild_id: int
    channel_id: int
    """Where it was made: what is asked by it counts as asked there."""
    name: str
    secret_sha256: str
    language: str | None
    made_at: float
    used_at: float | None


class Keys:
    """The table `api_key`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self.url: str | None = None
        """Where they are good for something; None where no program is served."""

    async def make(
        self, member_id: int, guild_id: int, channel_id: int, name: str, language: str | None
    ) -> tuple[Key, str]:
        """A new key of a member, and what it is, which must be shown to them at once and to nobody else. Raises
        MemberError where they have too many."""
        secret, values = _made(member_id, guild_id, channel_id, name, language, self._clock())
        rows = await self._database.change(_MAKE, values)
        if not rows:
            raise MemberError("You have {most} keys and no more are given: revoke one of them.", most=MOST_OF_MEMBER)
        return _key(rows[0]), secret

    async def of_secret(self, secret: str) -> Key | None:
        """The key that this is; None where it is none, or none any more."""
        row = await self._database.row("SELECT * FROM api_key WHERE secret_sha256 = ?", (_hash(secret),))
        return None if row is None else _key(row)

    async def find(self, key_id: int) -> Key | None:
        """The key of this number, unless it was taken back."""
        row = await self._database.row("SELECT * FROM api_key WHERE id = ?", (key_id,))
        return None if row is None else _key(row)

    async def of_member(self, member_id: int) -> list[Key]:
        """A member's keys, oldest first."""
        rows = await self._database.rows("SELECT * FROM api_key WHERE member_id = ? ORDER BY id", (member_id,))
        return [_key(row) for row in rows]

    async def used(self, key: Key) -> None:
        """Write down that it was used just now."""
        now = self._clock()
        if key.used_at is None or now - key.used_at > USED_EVERY_S:
            await self._database.change("UPDATE api_key SET used_at = ? WHERE id = ?", (now, key.id))

    async def revoke(self, key_id: int, member_id: int) -> bool:
        """Take a key of this member's back; False where they have none of this number."""
        gone = await self._database.change(
            "DELETE FROM api_key WHERE id = ? AND member_id = ? RETURNING id", (key_id, member_id)
        )
        return bool(gone)


def make_beside(database: Path, member_id: int, guild_id: int, channel_id: int, name: str) -> str:
    """A new key, made by the operator while the bot runs or not; returns what it is. Raises OperatorError."""
    if not database.exists():
        raise OperatorError(f"there is no database {database}: start the bot once")
    secret, values = _made(member_id, guild_id, channel_id, name, None, time.time())
    try:
        with closing(sqlite3.connect(database, timeout=BUSY_MS / 1000, isolation_level=None)) as connection:
            made = connection.execute(_MAKE, values).fetchall()
    except sqlite3.Error as error:
        raise OperatorError(f"no key can be written into {database}: {error}") from error
    if not made:
        raise OperatorError(f"member {member_id} has {MOST_OF_MEMBER} keys, which is the most")
    return secret


def _made(
    member_id: int, guild_id: int, channel_id: int, name: str, language: str | None, now: float
) -> tuple[str, tuple[object, ...]]:
    """What a new key is, and what `_MAKE` wants."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    name = " ".join(name.split())[:NAME_CHARS]
    return secret, (member_id, guild_id, channel_id, name, _hash(secret), language, now, MOST_OF_MEMBER)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: sqlite3.Row) -> Key:
    return Key(**{name: row[name] for name in Key.__slots__})
