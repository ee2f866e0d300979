"""The data folder: everything that Easel keeps, for one bot at a time and for nobody else's eyes."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import OperatorError

LOCK = "easel.lock"

BACKED_UP = "backed-up"
"""An empty file, as old as the newest backup."""

ROOM_GB = 2.0
"""Less free space than this is said: a full disk makes jobs wait."""

DATABASE = "easel.sqlite3"
"""The database's file in the data folder; what SQLite keeps beside it begins with the same name."""

LAST_SEEN = "ready.json"
"""What engines said of themselves (`engine.last_seen`). It may be deleted at any time."""


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Make the folder if need be, and hold it for this process alone as long as the block lasts.

    Raises OperatorError where another bot holds it, or it cannot be written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close_to_others(data)
        lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OperatorError(
            f"cannot write the data folder {data}: {reason}; set EASEL_DATA to one that can be written"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = os.read(lock, 20).decode(errors="replace").strip()
            raise OperatorError(
                f"another Easel (process {other or 'unknown'}) works in the data folder {data}:"
                " stop it, or set EASEL_DATA to another folder"
            ) from error
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        # The lock goes with the descriptor, also where the process is killed.
        os.close(lock)


def free_bytes(data: Path) -> int:
    """How much can still be written there, or where the folder will be."""
    return shutil.disk_usage(nearest(data)).free


def nearest(data: Path) -> Path:
    """The folder itself, or of those in which it will be made the innermost that is there."""
    return next(place for place in (data.absolute(), *data.absolute().parents) if place.exists())


def _close_to_others(data: Path) -> None:
    """Older versions left folder and files as the system's habit is."""
    data.chmod(0o700)
    for file in data.glob(f"{DATABASE}*"):
        file.chmod(0o600)
