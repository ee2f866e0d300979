"""What is kept of a member, as ZIP files of a size that Discord takes, each of which can be read without the others.

Reads files and writes files, in whatever thread it is called; what there is, is known to `belongings`.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bot.belongings import Row
from bot.pictures import manifests
from bot.pictures.kept import INGREDIENT, MANIFEST

PARTS = 5
"""So many files are made at a time: who wants more asks for those that follow."""

OF_A_FILE_BYTES = 400
"""More than a ZIP says of one file beside its content."""

PICTURES: Mapping[str, str] = {"picture": "pictures", "input": "inputs"}
"""The tables of a job whose rows are files, and the folders of these."""


@dataclass
class Part:
    """A ZIP file that is to be written."""

    room_bytes: int
    jobs: list[Row] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    """By their names in it."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What was written, in order."""

    parts: Sequence[Path]
    before: int | None
    """The number of the oldest job that is in it, where there are older ones."""
    left_out: int
    """How many pictures are larger than a part."""


def write(
    folder: Path, beside: Mapping[str, Sequence[Row]], jobs: Sequence[Row], path: Callable[[str], Path], part_bytes: int
) -> Archive:
    """Write these jobs, newest first, and their pictures, as far as they go into `PARTS` files of at most `part_bytes`;
    the first has all that is kept `beside` jobs. Pictures that are gone from the disk are not there. Raises OSError."""
    tables = {f"{table}.json": _json(rows) for table, rows in beside.items() if rows}
    parts = [Part(part_bytes - sum(len(zlib.compress(data)) + OF_A_FILE_BYTES for data in tables.values()))]
    before, left_out = None, 0
    for job in jobs:
        size = len(_json([job])) + OF_A_FILE_BYTES
        files = {name: file for name, file in _files(job, path) if file.is_file()}
        fitting = {name: file for name, file in files.items() if size + _size(file) <= part_bytes}
        together = size + sum(map(_size, fitting.values()))
        spread = [] if together <= parts[-1].room_bytes else _spread(fitting, part_bytes - size)
        if before is not None and len(parts) + len(spread) > PARTS:
            break
        parts += [Part(part_bytes) for _ in spread]
        for part, some in zip(parts[-len(spread) or -1 :], spread or [fitting], strict=True):
            part.jobs.append(job)
            part.files.update(some)
            part.room_bytes -= size + sum(map(_size, some.values()))
        left_out += len(files) - len(fitting)
        before = int(job["id"])
    written = []
    for number, part in enumerate(parts, start=1):
        zipped = folder / f"easel-{before or 0}-{number}.zip"
        _write(zipped, part, tables if number == 1 else {})
        written.append(zipped)
    return Archive(written, None if not jobs or before == int(jobs[-1]["id"]) else before, left_out)


def _spread(files: Mapping[str, Path], room_bytes: int) -> list[dict[str, Path]]:
    """The files of a job in parts of their own."""
    spread: list[dict[str, Path]] = [{}]
    left = room_bytes
    for name, file in files.items():
        if _size(file) > left:
            spread.append({})
            left = room_bytes
        spread[-1][name] = file
        left -= _size(file)
    return spread


def _files(job: Row, path: Callable[[str], Path]) -> Iterator[tuple[str, Path]]:
    for table, folder in PICTURES.items():
        for row in job.get(table, ()):
            name, file = f"{folder}/{job['id']}-{row['position'] + 1}", path(row["sha256"])
            yield f"{name}.png", file
            # What an upload said of itself.
            yield f"{name}{INGREDIENT}", file.with_suffix(INGREDIENT)


def _write(zipped: Path, part: Part, tables: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in tables.items():
            opened.writestr(name, data)
        opened.writestr("jobs.json", _json(part.jobs))
        for name, file in part.files.items():
            # Somebody may have deleted it since, and PNGs are compressed already.
            with contextlib.suppress(FileNotFoundError):
                if file.suffix == ".png" and (manifest := file.with_suffix(MANIFEST)).exists():
                    # As it was shown.
                    signed = zipped.with_suffix(".png")
                    manifests.embed(file, manifest.read_bytes(), signed)
                    opened.write(signed, name, zipfile.ZIP_STORED)
                    signed.unlink()
                else:
                    opened.write(file, name, zipfile.ZIP_STORED)


def _size(file: Path) -> int:
    size = 0
    with contextlib.suppress(FileNotFoundError):
        size = file.stat().st_size + OF_A_FILE_BYTES
        size += file.with_suffix(MANIFEST).stat().st_size
    return size


def _json(rows: Sequence[Row]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(rows), indent=1)
