"""Migrations, pragmas and transactions, against real SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bot.database import Database, open_database
from bot.errors import OperatorError


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
