"""`python -m bot lora`: LoRAs of members as their operator sees them and decides about them, also while the bot runs.

The bot sees what was changed a second later, and tells the owner.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bot import folder
from bot.database import BUSY_MS
from bot.errors import OperatorError
from bot.loras.files import Files

COMMAND = "lora"

_FILES = "SELECT sha256, kohya_sha256, preview_sha256 FROM lora_file"

_NOTED = "INSERT INTO audit (at, what, guild_id, member_id, details) VALUES (?, ?, ?, ?, json_object('lora', ?))"

DECISIONS = {"approve": ("usable", "lora approved"), "refuse": ("refused", "lora refused")}


def add_command(others: Any) -> None:
    """Add it to those of `python -m bot`."""
    parser: argparse.ArgumentParser = others.add_parser(COMMAND, help="list and decide about LoRAs of members")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show them all, those first that wait for you")
    for name, said in (
        ("approve", "let it be shared as its owner wants"),
        ("refuse", "do not let it be shared, or not any more"),
        ("remove", "delete it with all its files"),
        ("export", "copy its files into a folder"),
    ):
        action: argparse.ArgumentParser = actions.add_parser(name, help=said)
        action.add_argument("number", type=int, help="its number, as list shows it")
        if name == "export":
            action.add_argument("folder", type=Path)


def do(asked: argparse.Namespace, data: Path) -> None:
    """Do what is asked. Raises OperatorError."""
    with _opened(data) as database:
        if asked.action == "list":
            for line in _listed(database):
                print(line)
            return
        row = database.execute("SELECT * FROM lora WHERE id = ?", (asked.number,)).fetchone()
        if row is None:
            raise OperatorError(f"there is no LoRA {asked.number}: python -m bot lora list shows those that there are")
        if asked.action == "export":
            _export(database, row, Files(data), asked.folder)
        elif asked.action == "remove":
            _remove(database, row, Files(data))
            print(f"{row['name']} of member {row['member_id']} is removed")
        else:
            _decide(database, row, asked.action)


def missing(data: Path) -> list[str]:
    """What is not in the data folder of what should be there: a line for each LoRA. Raises OperatorError."""
    if not (data / folder.DATABASE).exists():
        return []
    files = Files(data)
    with _opened(data) as database:
        if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lora_file'").fetchone():
            # The next start makes it.
            return []
        rows = database.execute(
            "SELECT lora.id, lora.name, lora_file.sha256, kohya_sha256 FROM lora JOIN lora_file ON lora_id = lora.id"
        ).fetchall()
    lost = {row["id"]: row["name"] for row in rows if files.missing([row["sha256"], row["kohya_sha256"]])}
    return [f"LoRA {number} ({name})" for number, name in sorted(lost.items())]


@contextmanager
def _opened(data: Path) -> Iterator[sqlite3.Connection]:
    path = data / folder.DATABASE
    if not path.exists():
        raise OperatorError(f"there is no database {path}: start the bot once")
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
    except sqlite3.Error as error:
        raise OperatorError(f"{path} cannot be used: {error}") from error
    except OSError as error:
        raise OperatorError(f"{error.filename or data}: {(error.strerror or str(error)).lower()}") from error


def _listed(database: sqlite3.Connection) -> Iterator[str]:
    rows = database.execute(
        "SELECT lora.*, (SELECT sum(bytes) FROM lora_file WHERE lora_id = lora.id) AS bytes FROM lora"
        " ORDER BY NOT (share = 'all' AND state = 'pending'), id"
    ).fetchall()
    if not rows:
        yield "there are none"
    for row in rows:
        shared = row["share"] if row["share"] == "own" else f"{row['share']}, {row['state']}"
        where = "direct messages" if row["guild_id"] is None else f"server {row['guild_id']}"
        yield (
            f"{row['id']:>6}  {row['name']}  ({shared})  member {row['member_id']}, {where}, for {row['model']},"
            f" {row['pictures']} pictures, {row['license']}, {(row['bytes'] or 0) / 1e6:.1f} MB"
        )


def _decide(database: sqlite3.Connection, row: sqlite3.Row, action: str) -> None:
    state, what = DECISIONS[action]
    if row["share"] == "own":
        raise OperatorError(f"its owner shares {row['name']} with nobody: there is nothing to decide")
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute(
            "UPDATE lora SET state = ?, decided_by = NULL, told = 0 WHERE id = ? AND state <> ?",
            (state, row["id"], state),
        )
        _note(database, row, what)
        database.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        raise OperatorError(f"another LoRA that is shared there is called {row['name']}") from error
    shared = {"own": "", "server": f"server {row['guild_id']}", "all": "all servers"}[row["share"]]
    print(f"{row['name']} of member {row['member_id']} is {'' if state == 'usable' else 'not '}shared with {shared}")


def _remove(database: sqlite3.Connection, row: sqlite3.Row, files: Files) -> None:
    own = database.execute(f"{_FILES} WHERE lora_id = ?", (row["id"],)).fetchall()
    database.execute("BEGIN IMMEDIATE")
    database.execute("DELETE FROM lora WHERE id = ?", (row["id"],))
    _note(database, row, "lora removed")
    database.execute("COMMIT")
    others = {sha256 for one in database.execute(_FILES).fetchall() for sha256 in one}
    files.drop({sha256 for one in own for sha256 in one if sha256 is not None} - others)


def _export(database: sqlite3.Connection, row: sqlite3.Row, files: Files, into: Path) -> None:
    file = database.execute(
        "SELECT * FROM lora_file WHERE lora_id = ? AND epoch = ?", (row["id"], row["epoch"])
    ).fetchone()
    into.mkdir(parents=True, exist_ok=True)
    for end, sha256 in (("", file["sha256"]), (".kohya", file["kohya_sha256"])):
        target = into / f"{row['name']}{end}.safetensors"
        shutil.copyfile(files.path(sha256), target)
        print(target)


def _note(database: sqlite3.Connection, row: sqlite3.Row, what: str) -> None:
    if row["guild_id"] is not None:
        database.execute(_NOTED, (time.time(), what, row["guild_id"], row["member_id"], row["id"]))
