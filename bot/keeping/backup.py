"""A backup of the data folder, taken while the bot runs.

The database comes first, as it is at one moment; then the pictures that it names. One that is deleted in between is
noted as gone, one that comes in between belongs to the next backup. What can be made again is left out.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from bot.errors import OperatorError
from bot.folder import BACKED_UP, DATABASE, LAST_SEEN, LOCK
from bot.keeping import files, manifest, shelves, snapshot
from bot.keeping.manifest import Kept, Manifest
from bot.keeping.restore import RESTORED, RESTORING, is_set_aside
from bot.pictures.kept import THUMBNAILS
from inference.protocol import INCOMING, LORAS, PICTURES, TRAININGS, place
from inference.protocol.training import is_passing

LEFT_OUT = {PICTURES, THUMBNAILS, INCOMING, "compiled", BACKED_UP, LAST_SEEN, LOCK, RESTORING, RESTORED}
"""What is copied otherwise, or can be made again."""

WRITTEN_ONCE = {".png", ".safetensors"}
"""Of the files of trainings and LoRAs, those that are never written into: another one is put in their place."""


class Made(NamedTuple):
    """A backup that is whole."""

    folder: Path
    manifest: Manifest
    new_pictures: int
    """Those that no earlier backup had."""
    removed: int
    """Earlier backups that had to go for it."""


def make(data: Path, shelf: Path, *, verify: bool = False, keep: int | None = None) -> Made:
    """Make one more backup of `data` in the folder `shelf`, and leave the newest `keep` there.

    A picture that the backup before has is linked from there, and its bytes are read only where `verify` is said; all
    others are read. Raises OperatorError where it cannot be made: then everything is as before.
    """
    if shelf.resolve().is_relative_to(data.resolve()):
        raise OperatorError(f"{shelf} lies in the data folder {data}, and would be lost with it: name another folder")
    try:
        with shelves.in_use(shelf, making=True):
            begun = shelves.begin(shelf)
            try:
                made, new = _fill(data, begun, next(reversed(shelves.whole(shelf)), None), verify)
                files.sync()
                (begun / manifest.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2))
                files.sync()
                folder = shelves.add(shelf, begun, made.made_at)
            finally:
                files.remove(begun)
            with suppress(OSError):
                # Whoever watches the bot reads by it how old the newest backup is; that there is one counts more.
                (data / BACKED_UP).touch(mode=0o600)
            return Made(folder, made, new, shelves.thin_out(shelf, folder, keep))
    except OSError as error:
        raise OperatorError(f"cannot back up {data} to {shelf}: {files.reason(error)}") from error


def _fill(data: Path, begun: Path, earlier: Path | None, verify: bool) -> tuple[Manifest, int]:
    """Put everything but the manifest into the folder `begun`; returns that, and how many pictures are new."""
    (begun / PICTURES).mkdir(mode=0o700, parents=True)
    made_at = datetime.now(UTC).isoformat(timespec="microseconds")
    snapshot.take(data / DATABASE, begun / DATABASE)
    named = snapshot.named(begun / DATABASE)
    others = [file for file in sorted(_others(data)) if _bring(file, begun / file.relative_to(data))]
    kept, gone, damaged = list[str](), list[str](), list[str]()
    size, new = 0, 0
    for sha256 in named.pictures:
        target = place(begun / PICTURES, sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        before = place(earlier / PICTURES, sha256) if earlier else None
        try:
            bytes_, is_new = _picture(before, place(data / PICTURES, sha256), target, sha256, verify)
        except FileNotFoundError:
            gone.append(sha256)
        except files.Damaged:
            damaged.append(sha256)
        else:
            files.bring_beside(place(data / PICTURES, sha256), target, before)
            kept.append(sha256)
            size += bytes_
            new += is_new
    written = [begun / DATABASE, *(begun / file.relative_to(data) for file in others)]
    made = Manifest(
        made_at=made_at,
        easel=manifest.easel(),
        sqlite=sqlite3.sqlite_version,
        migrations=named.migrations,
        jobs=named.jobs,
        files=[Kept(str(file.relative_to(begun)), file.stat().st_size, files.hash_of(file)) for file in written],
        pictures=len(kept),
        picture_bytes=size,
        picture_names_sha256=manifest.sum_of_names(kept),
        gone=gone,
        damaged=damaged,
    )
    return made, new


def _picture(before: Path | None, live: Path, target: Path, sha256: str, verify: bool) -> tuple[int, bool]:
    """Bring one picture from the backup before or else from the data folder; its size, and whether it is new. Raises
    what `files.bring` does."""
    if before is not None and before.is_file():
        size = before.stat().st_size
        if not verify and live.is_file() and live.stat().st_size == size:
            files.link_or_copy(before, target)
            return size, False
        try:
            return files.bring(before, target, sha256), False
        except files.Damaged:
            pass
    return files.bring(live, target, sha256), True


def _bring(file: Path, target: Path) -> bool:
    """Bring one of the other files; False where it has gone meanwhile. Raises OSError."""
    try:
        if not {TRAININGS, LORAS}.isdisjoint(file.parts) and file.suffix in WRITTEN_ONCE:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.link_or_copy(file, target)
        else:
            files.copy(file, target)
    except FileNotFoundError:
        if file.exists():
            raise
        target.unlink(missing_ok=True)
        return False
    return True


def _others(data: Path) -> Iterator[Path]:
    """Every file of the data folder that is neither a picture nor the database, and that nothing makes again."""
    for entry in data.iterdir():
        if entry.name in LEFT_OUT or entry.name.startswith(DATABASE) or is_set_aside(entry):
            continue
        for file in _below(entry) if entry.is_dir() else [entry]:
            if file.is_file() and not (entry.name == TRAININGS and is_passing(file.relative_to(entry))):
                yield file


def _below(folder: Path) -> Iterator[Path]:
    """All files in it and in its folders, some of which may go meanwhile. Raises OSError."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for place_, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(place_) / name for name in names)
