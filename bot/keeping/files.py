"""How a file gets into a backup and out of one: linked where that can be, else copied, and looked at afterwards."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import hashlib
import os
import shutil
from pathlib import Path

from bot.pictures.kept import BESIDE

UNLINKABLE = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
"""Errors by which a file system says that this cannot be linked: it is another one, or has no links."""


class Damaged(Exception):
    """The bytes are not those that the name or the manifest promises."""


def bring(source: Path, target: Path, sha256: str) -> int:
    """Let `target` be the same bytes as `source`, which have this SHA-256; returns how many.

    A link costs nothing, and nobody writes into a picture that is kept. Raises OSError, FileNotFoundError where there
    is no source, Damaged; then there is no target.
    """
    try:
        link_or_copy(source, target)
        if (found := hash_of(target)) != sha256:
            raise Damaged(f"{source} is damaged: its SHA-256 is {found}")
        return target.stat().st_size
    except BaseException:
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
        raise


def bring_beside(picture: Path, target: Path, earlier: Path | None = None) -> None:
    """Let what lies beside a picture lie beside `target` as well, from beside an `earlier` one where that is the same.
    Whoever reads it sees whether it is sound, and does without where it is not. Raises OSError."""
    for suffix in BESIDE:
        source = picture.with_suffix(suffix)
        with contextlib.suppress(FileNotFoundError):
            before = None if earlier is None else earlier.with_suffix(suffix)
            same = before is not None and before.is_file() and filecmp.cmp(before, source)
            link_or_copy(before if before is not None and same else source, target.with_suffix(suffix))


def link_or_copy(source: Path, target: Path) -> None:
    """Link, or copy where that cannot be. Raises OSError."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in UNLINKABLE:
            raise
        shutil.copyfile(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy what is written to later, with the folders above it, for its owner's eyes alone. Raises OSError, and leaves
    nothing then."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Before there is anything in it to be seen: one of them is a key.
    target.touch(mode=0o600)
    try:
        shutil.copyfile(source, target)
    except OSError:
        target.unlink()
        raise


def hash_of(file: Path) -> str:
    """The SHA-256 of a file's bytes. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it; one that is not there is no error. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def reason(error: OSError) -> str:
    """Why, in the system's words, and of which file."""
    words = (error.strerror or str(error)).lower()
    return f"{words}: {error.filename}" if error.filename else words


def sync() -> None:
    """Let all that was written survive a power cut."""
    os.sync()
