"""What a backup says of itself: `manifest.json`, written last, so that a folder without one is no backup."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

import msgspec

from bot.errors import OperatorError

MANIFEST = "manifest.json"

FORMAT = 1
"""Goes up where an older Easel could not bring a backup back."""


class Kept(msgspec.Struct, frozen=True):
    """A file of the data folder that is no picture."""

    name: str
    """Its path in the data folder."""
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise ValueError(f"{self.name!r} names no file of a backup")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One backup. Its pictures are those that its database names, each under the SHA-256 of its bytes, but for `gone`
    and `damaged`."""

    format: int = FORMAT
    made_at: str
    """In UTC, as ISO 8601 writes it."""
    easel: str
    sqlite: str
    migrations: list[str]
    """Those that made the database what it is."""
    jobs: int
    files: list[Kept]
    """The database comes first."""
    pictures: int
    picture_bytes: int
    picture_names_sha256: str
    """Of the pictures' hashes, in order, each followed by a line feed."""
    gone: list[str] = []
    """Pictures that the database names, and that were deleted while they were copied, or before."""
    damaged: list[str] = []
    """Pictures whose bytes on the disk were others than they are named by."""


def sum_of_names(hashes: Iterable[str]) -> str:
    """One sum for all pictures of a backup."""
    return hashlib.sha256("".join(f"{sha256}\n" for sha256 in sorted(hashes)).encode()).hexdigest()


def easel() -> str:
    """Which Easel this is."""
    try:
        return version("easel")
    except PackageNotFoundError:
        return "unknown"


def read(backup: Path) -> Manifest:
    """What this folder says of itself. Raises OperatorError where it is no whole backup, or one for a newer Easel."""
    try:
        manifest = msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise OperatorError(f"{backup} is no whole backup: it has no {MANIFEST}, which is written last") from error
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise OperatorError(f"{backup / MANIFEST} cannot be read: {error}") from error
    if manifest.format > FORMAT:
        raise OperatorError(f"{backup} was made by a newer Easel ({manifest.easel}): update this checkout")
    if not manifest.files:
        raise OperatorError(f"{backup / MANIFEST} names no database")
    return manifest
