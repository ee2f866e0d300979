"""Bringing a backup back into a data folder: looked at as a whole before anything is put in its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bot import folder
from bot.database import MIGRATIONS
from bot.errors import OperatorError
from bot.folder import DATABASE
from bot.keeping import files, manifest, snapshot
from bot.keeping.manifest import Manifest
from inference.protocol import PICTURES, SENT, fsync_folder, place

RESTORING = "restoring"
"""In the data folder, where a backup is laid out and looked at. It may be removed while none is."""

RESTORED = "restored"
"""What that is called from the moment on when it is whole: then it is put in its place, and no bot may start before."""

SET_ASIDE = "replaced-"
"""How a folder in the data folder begins that holds what was there before a restore."""


class Brought(NamedTuple):
    """A backup that was brought back."""

    manifest: Manifest
    set_aside: Path | None
    """Where lies what was there before."""


def bring_back(backup: Path, data: Path, *, replace: bool = False) -> Brought:
    """Put a backup into the data folder, all of it or nothing.

    A folder in which anything lies is refused unless `replace` is said: then that is set aside, and nothing of it is
    lost. Raises OperatorError where the backup is not whole and sound, a bot works in the folder, or it cannot be
    written.
    """
    said = manifest.read(backup)
    if unknown := set(said.migrations) - {file.stem for file in MIGRATIONS.glob("[0-9]*.sql")}:
        raise OperatorError(f"{backup} was made by a newer Easel ({max(unknown)}): update this checkout")
    with folder.held(data):
        there = [entry for entry in data.iterdir() if _is_of_a_bot(entry)]
        if there and not replace:
            raise OperatorError(
                f"the data folder {data} is not empty: set EASEL_DATA to another, or say --replace, which sets aside"
                " what is there"
            )
        laid_out = data / RESTORING
        try:
            files.remove(laid_out)
            try:
                _lay_out(backup, said, laid_out)
                _remember_sent(data, laid_out)
                files.sync()
                files.remove(data / RESTORED)
                laid_out.rename(data / RESTORED)
            finally:
                files.remove(laid_out)
            fsync_folder(data)
            set_aside = _put_in_place(data, there)
        except OSError as error:
            raise OperatorError(f"cannot bring {backup} back into {data}: {files.reason(error)}") from error
    return Brought(said, set_aside)


def is_set_aside(entry: Path) -> bool:
    """Whether this was in the data folder before a restore."""
    return entry.name.startswith(SET_ASIDE)


def _is_of_a_bot(entry: Path) -> bool:
    return entry.name not in (folder.LOCK, RESTORING, RESTORED) and not is_set_aside(entry)


def _lay_out(backup: Path, said: Manifest, target: Path) -> None:
    """Copy the backup to `target`, and see that it is what its manifest says. Raises OperatorError, OSError."""
    (target / PICTURES).mkdir(mode=0o700, parents=True)
    try:
        for kept in said.files:
            (target / kept.name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.copy(backup / kept.name, target / kept.name)
            if (target / kept.name).stat().st_size != kept.bytes or files.hash_of(target / kept.name) != kept.sha256:
                raise files.Damaged(f"{backup / kept.name} is damaged: it is not what {manifest.MANIFEST} says")
        missing = {*said.gone, *said.damaged}
        hashes = [sha256 for sha256 in snapshot.named(target / DATABASE).pictures if sha256 not in missing]
        if len(hashes) != said.pictures or manifest.sum_of_names(hashes) != said.picture_names_sha256:
            raise files.Damaged(f"{backup} is damaged: its database names other pictures than its {manifest.MANIFEST}")
        for sha256 in hashes:
            picture = place(target / PICTURES, sha256)
            picture.parent.mkdir(mode=0o700, exist_ok=True)
            files.bring(place(backup / PICTURES, sha256), picture, sha256)
            files.bring_beside(place(backup / PICTURES, sha256), picture)
    except files.Damaged as error:
        raise OperatorError(f"{error}; nothing was changed, take another backup") from error
    except FileNotFoundError as error:
        raise OperatorError(f"{backup} is not whole: {error.filename} is missing; nothing was changed") from error


def _remember_sent(data: Path, target: Path) -> None:
    """Take along what is known here of requests to other servers: what waits in the backup may have been sent since,
    and would be paid twice. Raises OSError."""
    for note in (data / SENT).iterdir() if (data / SENT).is_dir() else ():
        if not (target / SENT / note.name).exists():
            files.copy(note, target / SENT / note.name)


def _put_in_place(data: Path, there: list[Path]) -> Path | None:
    """Exchange what is `there` for what is laid out, the database last; returns where that is now."""
    set_aside = None
    if there:
        set_aside = data / f"{SET_ASIDE}{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%fZ}"
        set_aside.mkdir(mode=0o700)
        for entry in there:
            entry.rename(set_aside / entry.name)
        fsync_folder(set_aside)
    restored = data / RESTORED
    for entry in sorted(restored.iterdir(), key=lambda entry: entry.name == DATABASE):
        entry.rename(data / entry.name)
    fsync_folder(data)
    restored.rmdir()
    fsync_folder(data)
    return set_aside
