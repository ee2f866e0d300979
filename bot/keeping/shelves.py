"""A folder with backups in it: one folder for each, named by when it was made, and one user at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import OperatorError
from bot.keeping import files, manifest
from inference.protocol import fsync_folder

IN_USE = "backup.lock"
"""Held while a backup is made or brought back."""

BEGUN = ".unfinished"
"""Where one is made: a broken-off one is never taken for a whole one, and the next removes it."""

REMOVED = ".removed"
"""What an old one is called while it is removed."""


@contextmanager
def in_use(shelf: Path, *, making: bool) -> Iterator[None]:
    """Hold this folder of backups, for oneself alone where one is made. Raises OperatorError where somebody else does,
    OSError."""
    if making:
        shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not (shelf / IN_USE).is_file():
        # A copy of one backup, by itself or on a disk that nobody writes.
        yield
        return
    lock = os.open(shelf / IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC if making else os.O_RDONLY, 0o600)
    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if making else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OperatorError(f"another backup or restore works in {shelf}: wait until it has ended") from error
    else:
        yield
    finally:
        os.close(lock)


def whole(shelf: Path) -> list[Path]:
    """The whole backups in this folder of backups, oldest first. Raises OSError."""
    found: list[tuple[str, str, Path]] = []
    for folder in shelf.iterdir():
        if not folder.name.startswith(".") and (folder / manifest.MANIFEST).is_file():
            try:
                found.append((manifest.read(folder).made_at, folder.name, folder))
            except OperatorError:
                # Whoever wants this very one names it, and is told then.
                continue
    return [folder for _, _, folder in sorted(found)]


def newest(asked: Path) -> Path:
    """The backup that is meant: `asked` itself, or the newest in it. Raises OperatorError."""
    if (asked / manifest.MANIFEST).exists():
        return asked
    try:
        found = whole(asked)
    except OSError as error:
        raise OperatorError(f"cannot read the backups in {asked}: {files.reason(error)}") from error
    if not found:
        raise OperatorError(f"{asked} is no whole backup and has none in it: each has a {manifest.MANIFEST}")
    return found[-1]


def begin(shelf: Path) -> Path:
    """Where the next backup is made; what a broken-off one has left is removed. Raises OSError."""
    for leftover in (shelf / BEGUN, shelf / REMOVED):
        files.remove(leftover)
    return shelf / BEGUN


def add(shelf: Path, begun: Path, made_at: str) -> Path:
    """Give a whole backup its name, which says when and sorts so; returns where it is then. Raises OSError."""
    name = made_at.partition(".")[0].replace(":", "-") + "Z"
    folder, number = shelf / name, 2
    while folder.exists():
        folder, number = shelf / f"{name}-{number}", number + 1
    begun.rename(folder)
    fsync_folder(shelf)
    return folder


def thin_out(shelf: Path, made: Path, keep: int | None) -> int:
    """Remove all whole backups but the one that was `made` just now and the newest others, `keep` in all; all stay
    where that is None. Returns how many are gone. Raises OSError."""
    # By when they were made it need not be the newest: clocks are set back.
    others = [folder for folder in whole(shelf) if folder != made]
    old = others[: max(0, len(others) + 1 - keep)] if keep else []
    for folder in old:
        folder.rename(shelf / REMOVED)
        files.remove(shelf / REMOVED)
    return len(old)
