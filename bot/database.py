"""The connection to SQLite: its pragmas, its transactions and the migrations. The SQL of jobs is in `jobs`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from bot.errors import OperatorError

MIGRATIONS = Path(__file__).parent.parent / "migrations"


class Database:
    """One connection, shared by the whole bot. Writes go through `transaction`, which lets in one at a time."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._writing = asyncio.Lock()

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        rows = await self.rows(sql, parameters)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """All statements executed inside are kept together, or none of them is."""
        async with self._writing:
            await self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                # Also for a cancelled task: the rollback itself must not be cancelled half-way.
                await asyncio.shield(self._connection.rollback())
                raise
            await asyncio.shield(self._connection.commit())


@asynccontextmanager
async def open_database(path: Path, migrations: Path = MIGRATIONS) -> AsyncIterator[Database]:
    """The database in the file `path`, brought up to date. Raises OperatorError where that is impossible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # isolation_level None: transactions begin where `transaction` says so and nowhere else.
        connection = await aiosqlite.connect(path, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise OperatorError(
            f"cannot write the data folder {path.parent}: {_reason(error)}; set EASEL_DATA to one that can be written"
        ) from error
    try:
        connection.row_factory = sqlite3.Row
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = FULL")
            await connection.execute("PRAGMA foreign_keys = ON")
            await connection.execute("PRAGMA busy_timeout = 5000")
            database = Database(connection)
            await _migrate(database, migrations)
        except sqlite3.Error as error:
            raise OperatorError(f"cannot use the database {path}: {_reason(error)}") from error
        yield database
    finally:
        await connection.close()


async def _migrate(database: Database, folder: Path) -> None:
    """Apply every migration not yet recorded, in order of name, each in one transaction with its own record."""
    async with database.transaction() as connection:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL) STRICT"
        )
    files = {file.stem: file.read_text(encoding="utf-8") for file in sorted(folder.glob("[0-9]*.sql"))}  # noqa: ASYNC240 — before anything else runs
    applied = {str(row["name"]) for row in await database.rows("SELECT name FROM migration")}
    if unknown := applied - files.keys():
        raise OperatorError(f"the database was written by a newer Easel ({max(unknown)}): update this checkout")
    for name, script in files.items():
        if name in applied:
            continue
        async with database.transaction() as connection:
            for statement in _statements(script.splitlines(keepends=True)):
                await connection.execute(statement)
            await connection.execute("INSERT INTO migration VALUES (?, datetime('now'))", (name,))


def _statements(lines: Iterable[str]) -> Iterator[str]:
    """Split a script; `executescript` would commit before its first statement."""
    statement = ""
    for line in lines:
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).lower()
