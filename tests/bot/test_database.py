"""Migrations, pragmas and transactions, against real SQLite."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import aiosqlite
import pytest

from bot import database as database_module
from bot.buttons import JobButton
from bot.database import Database, insist, open_database
from bot.errors import OperatorError
from bot.job import asked
from bot.jobs import Jobs
from bot.pictures.kept import Pictures
from bot.waits import growing
from inference.protocol import Imagine, Variation
from tests.bot.conftest import finished, kept, queued, stored


async def test_database_is_durable_and_checks_foreign_keys(database: Database) -> None:
    pragmas = {
        name: (await database.rows(f"PRAGMA {name}"))[0][0] for name in ("journal_mode", "foreign_keys", "synchronous")
    }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}


async def test_each_migration_is_applied_once_and_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1);\n")
    async with open_database(tmp_path / "db", folder):
        pass
    (folder / "0002_b.sql").write_text("-- a comment; with a semicolon\nUPDATE a SET x = x + 1;\n")
    for _ in range(2):
        async with open_database(tmp_path / "db", folder) as database:
            assert [row["x"] for row in await database.rows("SELECT x FROM a")] == [2]
            assert [row["name"] for row in await database.rows("SELECT name FROM migration")] == ["0001_a", "0002_b"]


async def test_broken_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x INTEGER);\nINSERT INTO nowhere VALUES (1);\n")
    with pytest.raises(OperatorError, match="nowhere"):
        async with open_database(tmp_path / "db", folder):
            pass
    with sqlite3.connect(tmp_path / "db") as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert tables == {"migration"}


async def test_database_of_a_newer_easel_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x INTEGER);")
    async with open_database(tmp_path / "db", folder):
        pass
    (folder / "0001_a.sql").unlink()
    with pytest.raises(OperatorError, match="newer Easel"):
        async with open_database(tmp_path / "db", folder):
            pass


async def test_unwritable_data_folder_is_named_to_the_operator(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot write the data folder .*set EASEL_DATA"):
        async with open_database(tmp_path / "file" / "easel.sqlite3"):
            pass


async def test_file_that_is_no_database_is_named_to_the_operator(tmp_path: Path) -> None:
    (tmp_path / "easel.sqlite3").write_bytes(b"not a database, but long enough to be looked at" * 30)
    with pytest.raises(OperatorError, match="easel.sqlite3"):
        async with open_database(tmp_path / "easel.sqlite3"):
            pass


async def test_failed_transaction_is_rolled_back_and_the_next_one_works(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE a (x INTEGER)")
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO a VALUES (1)")
            raise RuntimeError
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO a VALUES (2)")
    assert [row["x"] for row in await database.rows("SELECT x FROM a")] == [2]


async def test_transactions_of_two_tasks_do_not_mix(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE a (x INTEGER)")

    async def write(x: int, *, fail: bool) -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO a VALUES (?)", (x,))
            await asyncio.sleep(0)
            if fail:
                raise RuntimeError

    await asyncio.gather(*(write(x, fail=x % 2 == 0) for x in range(10)), return_exceptions=True)
    assert sorted(row["x"] for row in await database.rows("SELECT x FROM a")) == [1, 3, 5, 7, 9]


async def numbered(database: Database, number: int) -> int:
    [row] = await database.change("INSERT INTO number VALUES (?) RETURNING x", (number,))
    return int(row["x"])


async def test_changes_that_come_at_once_are_kept_together_and_each_gets_its_own_rows(database: Database) -> None:
    await database.change("CREATE TABLE number (x INTEGER UNIQUE) STRICT")
    statements: list[str] = []
    await database._connection.set_trace_callback(statements.append)
    assert await asyncio.gather(*(numbered(database, number) for number in range(100))) == list(range(100))
    assert statements.count("COMMIT") <= 2
    assert [row["x"] for row in await database.rows("SELECT x FROM number ORDER BY rowid")] == list(range(100))


async def test_change_that_fails_takes_no_other_with_it(database: Database) -> None:
    await database.change("CREATE TABLE number (x INTEGER UNIQUE) STRICT")
    numbers = [0, 1, 2, 2, 3]
    outcomes = await asyncio.gather(*(numbered(database, number) for number in numbers), return_exceptions=True)
    assert [one for one in outcomes if isinstance(one, int)] == [0, 1, 2, 3]
    assert [type(one) for one in outcomes if not isinstance(one, int)] == [sqlite3.IntegrityError]
    assert not database._connection.in_transaction


@pytest.mark.parametrize("turns", range(12))
async def test_change_whose_task_is_cancelled_anywhere_harms_no_other(database: Database, turns: int) -> None:
    await database.change("CREATE TABLE number (x INTEGER UNIQUE) STRICT")
    tasks = [asyncio.create_task(numbered(database, number)) for number in range(6)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[2:] == [2, 3, 4, 5]
    assert not database._connection.in_transaction
    assert await numbered(database, 6) == 6


async def count(database: Database) -> int:
    [row] = await database.rows("SELECT count(*) AS many FROM a")
    return int(row["many"])


@pytest.mark.parametrize("turns", range(12))
async def test_transaction_that_is_cancelled_anywhere_leaves_none_open(database: Database, turns: int) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE a (x INTEGER)")

    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO a VALUES (1)")
            await connection.execute("INSERT INTO a VALUES (1)")

    writing = asyncio.create_task(write())
    for _ in range(turns):
        await asyncio.sleep(0)
    writing.cancel()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert await count(database) in (0, 2)
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO a VALUES (2)")


async def test_commit_that_fails_leaves_no_transaction_open(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE a (x INTEGER)")

    async def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch, pytest.raises(sqlite3.OperationalError):
        patch.setattr(database._connection, "commit", full)
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO a VALUES (1)")
    assert await count(database) == 0
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO a VALUES (2)")
    assert await count(database) == 1


async def test_lock_of_another_program_is_waited_for_and_then_told(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db") as database:
        other = sqlite3.connect(tmp_path / "db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            async with database.transaction():
                pass
        other.execute("ROLLBACK")
        other.close()
        async with database.transaction():
            pass


async def test_database_that_cannot_be_written_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(tmp_path / "db"):
        pass
    connect = aiosqlite.connect
    # As the system would open it for a user who may only read it.
    monkeypatch.setattr(aiosqlite, "connect", lambda path, **how: connect(f"file:{path}?mode=ro", uri=True, **how))
    with pytest.raises(OperatorError, match="cannot use the database .*readonly"):
        async with open_database(tmp_path / "db"):
            pass


async def test_what_no_waiting_mends_is_the_operators(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE a (x INTEGER)")
    await database._connection.execute("PRAGMA query_only = ON")

    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO a VALUES (1)")

    with pytest.raises(OperatorError, match="cannot be written any more"):
        await insist("a row", write)


async def test_write_is_tried_until_it_succeeds_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database_module, "RETRY_AFTER_S", (0.0,))
    errors = [OSError(28, "No space left on device")] * 3

    async def write(what: str) -> str:
        if errors:
            raise errors.pop()
        return what

    assert await insist("a row", write, "written") == "written"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_missing_file_is_not_waited_for() -> None:
    async def write() -> None:
        raise FileNotFoundError(2, "No such file")

    with pytest.raises(FileNotFoundError):
        await insist("a picture", write)


@pytest.fixture
async def first(tmp_path: Path) -> AsyncIterator[Jobs]:
    """The database and the pictures that the first version of Easel wrote, opened by this one."""
    shutil.copytree(Path(__file__).parent / "first", tmp_path, dirs_exist_ok=True)
    pictures = Pictures(tmp_path)
    pictures.prepare()
    async with open_database(tmp_path / "easel.sqlite3") as database:
        yield Jobs(database, pictures)


async def test_jobs_of_the_first_version_are_all_there(first: Jobs) -> None:
    jobs = await first.all_of(range(1, 10))
    assert [(job.id, job.state) for job in jobs] == [
        (1, "finished"),
        (2, "finished"),
        (3, "failed"),
        (4, "cancelled"),
        (5, "running"),
        (6, "queued"),
    ]
    assert [picture.seed for picture in jobs[0].pictures] == [7, 2**64 - 1]
    assert all(path.is_file() for path in first.paths(jobs[0]))
    assert asked(jobs[1], Imagine).variations == (Variation(3, 0.3),)
    assert asked(jobs[5], Imagine).negative == "fog"
    assert await first.recipe(1) == {"model": "starter"}
    assert [job.id for job in await first.undelivered()] == [2]


async def test_jobs_of_the_first_version_live_on(first: Jobs, tmp_path: Path) -> None:
    await first.requeue([5])
    await first.start([5, 6])
    assert await first.finish(finished(tmp_path, 5, b"at last"))
    assert (await stored(first, 6)).state == "running"
    await first.tidy()
    assert len(kept(tmp_path)) == 4
    await first.delete(1)
    assert len(kept(tmp_path)) == 2
    # Its child lost its parent, not itself.
    assert (await stored(first, 2)).state == "finished"


async def test_numbers_go_on_where_the_first_version_ended(first: Jobs) -> None:
    # The seventh job was deleted before the upgrade.
    assert (await queued(first)).id == 8


def test_buttons_of_the_first_version_are_understood() -> None:
    for custom_id in ("easel:vary:1", "easel:vary:1:1", "easel:reroll:1", "easel:edit:1", "easel:delete:1"):
        assert JobButton.__discord_ui_compiled_template__.fullmatch(custom_id)


async def test_lock_of_another_program_is_waited_for_once_by_all_together(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db") as database:
        await database.change("CREATE TABLE number (x INTEGER UNIQUE) STRICT")
        statements: list[str] = []
        await database._connection.set_trace_callback(statements.append)
        other = sqlite3.connect(tmp_path / "db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with database._writing:
            changes = [
                asyncio.create_task(database.change("INSERT INTO number VALUES (?)", (number,))) for number in range(9)
            ]
            await asyncio.sleep(0)
        results = await asyncio.gather(*changes, return_exceptions=True)
        other.execute("ROLLBACK")
        other.close()
        assert [type(result) for result in results] == [sqlite3.OperationalError] * 9
        assert [statement for statement in statements if statement.startswith("INSERT")] == []
        await database.change("INSERT INTO number VALUES (?)", (1,))


def test_waits_grow_and_the_last_one_repeats() -> None:
    assert list(islice(growing((1.0, 5.0, 30.0)), 5)) == [1.0, 5.0, 30.0, 30.0, 30.0]
