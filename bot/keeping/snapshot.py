"""The database of a backup: taken beside a bot that writes, and read for what belongs to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from bot.errors import OperatorError

WAIT_S = 30.0
"""How long a lock of the bot's is waited for; it reads and writes on, whatever happens here."""


class Named(NamedTuple):
    """What a database says of what it needs and has."""

    pictures: list[str]
    """Hashes, in order."""
    migrations: list[str]
    jobs: int


def take(database: Path, target: Path) -> None:
    """Write the database as it is at this moment, whole and without the leavings of what was deleted, to `target`.

    Raises OperatorError where there is none, it is damaged, or the disk does not take it.
    """
    with _opened(database) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    with _opened(target) as connection:
        [[said]] = connection.execute("PRAGMA quick_check(1)")
    if said != "ok":
        raise OperatorError(f"the backup of the database is damaged ({said}): is {target.parent} on a sound disk?")


def named(database: Path) -> Named:
    """What the database of a backup names. Raises OperatorError."""
    with _opened(database) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'file_use'").fetchone() is None:
            raise OperatorError(
                "the database was written by an older Easel: make the backup with that one, or start this one first"
            )
        pictures = [row[0] for row in connection.execute("SELECT DISTINCT sha256 FROM file_use ORDER BY sha256")]
        migrations = [row[0] for row in connection.execute("SELECT name FROM migration ORDER BY name")]
        [[jobs]] = connection.execute("SELECT count(*) FROM job")
    return Named(pictures, migrations, jobs)


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database that is there already. Raises OperatorError for whatever SQLite raises."""
    if not file.is_file():
        raise OperatorError(f"there is no database {file}: set EASEL_DATA to the folder that the bot works in")
    connection: sqlite3.Connection | None = None
    try:
        # Not read-only: where no bot runs, what it has written last is still beside the file.
        connection = sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=rw", timeout=WAIT_S, uri=True)
        yield connection
    except sqlite3.Error as error:
        raise OperatorError(f"the database {file} cannot be backed up: {error}") from error
    finally:
        if connection is not None:
            connection.close()
