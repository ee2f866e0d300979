"""What outlives the process: messages, commands, interactions and uploaded files, in one SQLite file and one folder.

Without a folder everything is kept in a temporary one. No rules of Discord's here, only keeping and finding.
"""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from sandbox.errors import OperatorError

Record = TypeVar("Record", bound=msgspec.Struct)

_SCHEMA = """
create table if not exists records (
    kind text not null, id integer not null, body blob not null, primary key (kind, id)
) without rowid;
create table if not exists texts (name text primary key, body text not null) without rowid;
"""


class Storage:
    """Keeps records (by kind and id), named texts and files. Close it when done."""

    def __init__(self, folder: Path | None) -> None:
        """Open `folder`, made if need be; raise OperatorError where it cannot be written."""
        self._temporary = tempfile.TemporaryDirectory(prefix="easel-sandbox-") if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary else Path(folder or "")
        try:
            self.files = self.folder / "attachments"
            self.files.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.folder / "sandbox.db")
            self._database.executescript("pragma journal_mode = wal; pragma synchronous = normal;" + _SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise OperatorError(
                f"The data folder {self.folder} can't be written ({error}); name another one with --data."
            ) from error
        self.secret = self._kept_secret()

    def close(self) -> None:
        self._database.close()
        if self._temporary:
            self._temporary.cleanup()

    def save(self, kind: str, record_id: int, record: msgspec.Struct) -> None:
        with self._database:
            self._database.execute(
                "insert or replace into records values (?, ?, ?)",
                (kind, record_id, msgspec.json.encode(record)),
            )

    def forget(self, kind: str, record_id: int) -> None:
        with self._database:
            self._database.execute("delete from records where kind = ? and id = ?", (kind, record_id))

    def load(self, kind: str, record_type: type[Record]) -> list[Record]:
        """Return all records of a kind, lowest id first."""
        rows = self._database.execute("select body from records where kind = ? order by id", (kind,))
        return [msgspec.json.decode(body, type=record_type) for (body,) in rows]

    def save_text(self, name: str, body: str) -> None:
        with self._database:
            self._database.execute("insert or replace into texts values (?, ?)", (name, body))

    def load_text(self, name: str) -> str | None:
        row = self._database.execute("select body from texts where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def highest_id(self) -> int:
        row = self._database.execute("select max(id) from records").fetchone()
        return int(row[0] or 0)

    def _kept_secret(self) -> str:
        """Return what signs file addresses: the same after a restart, so that open pages keep their pictures."""
        secret = self.load_text("secret")
        if secret is None:
            secret = secrets.token_hex(16)
            self.save_text("secret", secret)
        return secret
