"""The connection to SQLite: its pragmas, its transactions and the migrations. The SQL of jobs is in `jobs`."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import aiosqlite

from bot.errors import MemberError, OperatorError
from bot.waits import growing

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent.parent / "migrations"

BUSY_MS = 1000
"""How long a statement waits for somebody else's lock: a member waits for it within Discord's three seconds."""

RETRY_AFTER_S = (0.5, 1.0, 2.0, 5.0)
"""Waits between the tries of a write that must succeed; the last one repeats."""

FATAL = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""What no waiting mends."""

UNWRITTEN = (sqlite3.Error, OSError)
"""What a write raises where the disk or the database does not take it."""

Parameters = Sequence[Any] | Mapping[str, Any]
"""What a query's question marks or names stand for."""

Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Change:
    """A statement that waits, and in the end its rows or its error."""

    sql: str
    parameters: Sequence[Any]
    outcome: list[sqlite3.Row] | Exception | None = None


class Database:
    """One connection, shared by the whole bot. Writes go through `change` and `transaction`, one at a time."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._writing = asyncio.Lock()
        self._waiting: dict[int, _Change] = {}
        """What is to be changed when the one that writes has finished, in its order."""

    async def rows(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def row(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        rows = await self.rows(sql, parameters)
        return rows[0] if rows else None

    async def change(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """One statement that is kept or not, and the rows that it returns.

        Those that come while another writes are kept together, in one transaction: where hundreds of members ask at
        once, they wait for the disk once and not each for all before.
        """
        change = _Change(sql, parameters)
        self._waiting[id(change)] = change
        try:
            async with self._writing:
                if change.outcome is None:
                    changes, self._waiting = list(self._waiting.values()), {}
                    await _surely(self._make(changes))
        finally:
            self._waiting.pop(id(change), None)
        if isinstance(change.outcome, Exception):
            raise change.outcome
        assert change.outcome is not None
        return change.outcome

    async def scrub(self) -> None:
        """Write the database anew, without a trace of what was deleted. Nobody writes meanwhile. Raises sqlite3.Error,
        also where somebody else reads it just now."""
        async with self._writing:
            await _surely(self._connection.execute("VACUUM"))
            # What it wrote anew stands in the log until then, behind what it replaces.
            [row] = await _surely(self._connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)"))
        if row[0]:
            raise sqlite3.OperationalError("somebody else reads the database")

    async def _make(self, changes: Sequence[_Change]) -> None:
        """Make these changes; each has its outcome then, and one that fails takes no other with it."""
        if len(changes) > 1:
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
            except Exception as error:
                # It is nobody's fault, and trying each by itself would let all wait for the same lock in turn.
                for change in changes:
                    change.outcome = error
                return
            try:
                outcomes = [await self._one(change) for change in changes]
                await self._connection.commit()
            except Exception:
                # Each by itself then says what is wrong with it.
                with suppress(sqlite3.Error, ValueError):
                    await self._connection.rollback()
            else:
                for change, rows in zip(changes, outcomes, strict=True):
                    change.outcome = rows
                return
        for change in changes:
            try:
                change.outcome = await self._one(change)
            except Exception as error:
                change.outcome = error

    async def _one(self, change: _Change) -> list[sqlite3.Row]:
        return list(await self._connection.execute_fetchall(change.sql, change.parameters))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """All statements executed inside are kept together, or none of them is, also where the task is cancelled."""
        async with self._writing:
            try:
                await _surely(self._connection.execute("BEGIN IMMEDIATE"))
                yield self._connection
                await _surely(self._connection.commit())
            except BaseException:
                # Where BEGIN or COMMIT was cancelled it has happened all the same; after COMMIT this does nothing.
                await _surely(self._connection.rollback())
                raise


async def _surely(statement: Coroutine[Any, Any, Result]) -> Result:
    """Run a statement to its end even where the task is cancelled meanwhile; the cancellation is raised after it."""
    running = asyncio.ensure_future(statement)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    if cancelled is not None:
        raise cancelled
    return running.result()


async def insist(
    what: str, write: Callable[Given, Awaitable[Result]], *args: Given.args, **kwargs: Given.kwargs
) -> Result:
    """Do what must not be lost, again and again while the disk or the database does not take it.

    The operator is told once, and once more when it has succeeded. `what` says what is kept. Raises OperatorError
    where waiting mends nothing, and whatever else the write raises.
    """
    for tries, wait_s in enumerate(growing(RETRY_AFTER_S)):
        try:
            result = await write(*args, **kwargs)
        except FileNotFoundError:
            raise
        except UNWRITTEN as error:
            refuse_fatal(error)
            if not tries:
                log.error("cannot keep %s: %s; trying again until it succeeds", what, _reason(error))
        else:
            if tries:
                log.warning("%s could be kept after %d more tries", what, tries)
            return result
        await asyncio.sleep(wait_s)
    raise AssertionError("the waits have no end")


def refuse_fatal(error: Exception) -> None:
    """Raise OperatorError where this error of the database is one that no waiting mends."""
    code = getattr(error, "sqlite_errorcode", None)
    # The primary code is in the lowest byte, details above it.
    if code is not None and code & 0xFF in FATAL:
        raise OperatorError(f"the database cannot be written any more: {_reason(error)}") from error


@contextmanager
def written(what: str) -> Iterator[None]:
    """Raise MemberError where what a member changes within cannot be kept, which the log calls so; OperatorError where
    no waiting mends that."""
    try:
        yield
    except UNWRITTEN as error:
        refuse_fatal(error)
        log.error("%s could not be kept: %s", what, error)
        raise MemberError(
            "Easel cannot write this down at the moment: try again in a few minutes, or tell whoever runs it."
        ) from error


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
            await connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            # What is deleted is overwritten.
            await connection.execute("PRAGMA secure_delete = ON")
            database = Database(connection)
            # Migrations make tables anew, which must not take along what refers to them: foreign keys come after.
            await _migrate(database, migrations)
            # Nothing of what was deleted outlives a kill in the log.
            await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            await connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error as error:
            raise OperatorError(f"cannot use the database {path}: {_reason(error)}") from error
        yield database
    finally:
        with suppress(sqlite3.Error):
            await connection.close()


async def _migrate(database: Database, folder: Path) -> None:
    """Apply every migration not yet recorded, in order of name, each in one transaction with its own record."""
    async with database.transaction() as connection:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL) STRICT"
        )
        # A write in any case, so that a database that cannot be written is found out now.
        await connection.execute("PRAGMA user_version = 1")
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
            if broken := list(await connection.execute_fetchall("PRAGMA foreign_key_check")):
                raise sqlite3.IntegrityError(f"{name} leaves {len(broken)} references to nothing")
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
