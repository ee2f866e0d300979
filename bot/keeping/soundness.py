"""What is looked at before a start: a data folder that is not what it was may lose more by a bot that works in it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from bot.errors import OperatorError
from bot.folder import DATABASE
from bot.keeping.restore import RESTORED
from inference.protocol import LORAS, PICTURES, TRAININGS

CHECK_WITHIN_S = 20.0
"""About how long the check of a database may delay a start: three gigabytes of jobs, at the 6 s that one takes."""

STEPS_BETWEEN_LOOKS = 100_000
"""Of SQLite's machine, between two looks at the clock: about a millisecond."""

KEPT = {PICTURES: "*/*.png", TRAININGS: "*/pictures/*.png", LORAS: "**/*.safetensors"}
"""The folders that nobody makes again, and files in them."""

BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

HOW = "bring a backup back with `python -m bot restore FOLDER --replace` (docs/deployment.md, Backups)"


def check(data: Path, within_s: float = CHECK_WITHIN_S) -> None:
    """Raise OperatorError where a restore into this folder was broken off, its database is damaged, or pictures lie
    there without one: a bot with a new database would remove them, as pictures that nobody uses.

    A database that is too large is checked for about so many seconds: SQLite looks at the clock between two tables.
    """
    if (data / RESTORED).exists():
        raise OperatorError(f"a restore into {data} was broken off: do it again, with --replace")
    database = data / DATABASE
    # SQLite takes an empty file for a new database.
    if not database.is_file() or not database.stat().st_size:
        for name, files in KEPT.items():
            if any((data / name).glob(files)):
                raise OperatorError(
                    f"there are {name} in {data}, and no {DATABASE}: {HOW}; or move the folder {name} away"
                )
        return
    if (problem := _problem(database, within_s)) is not None:
        raise OperatorError(f"the database {database} is damaged ({problem}): {HOW}")


def _problem(database: Path, within_s: float) -> str | None:
    """What is wrong with a database, as SQLite says it in a line; None where nothing is found, in so many seconds."""
    until = time.monotonic() + within_s
    # What else keeps it from being opened is told by whoever opens it to work with it.
    with suppress(sqlite3.OperationalError), closing(_opened(database)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS)
        try:
            [[said], *_] = connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            if (error.sqlite_errorcode or 0) & 0xFF in BROKEN:
                return str(error)
            raise
        return None if said == "ok" else " ".join(said.split())
    return None


def _opened(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database.absolute()))}?mode=rw", uri=True)
