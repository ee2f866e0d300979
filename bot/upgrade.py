"""Which Easel worked in a data folder last, and what is said when another one starts there."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path

import msgspec

from bot.keeping import manifest
from inference.protocol import PICTURES

log = logging.getLogger(__name__)

FILE = "version.json"
"""In the data folder; it goes into backups too."""

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


class _Version(msgspec.Struct):
    """One Easel."""

    easel: str
    changes: str
    """The SHA-256 of its CHANGELOG: between two versions it tells a checkout from an older one."""


def tell(data: Path) -> None:
    """Log a line where another Easel worked here last, and note down that it is this one now.

    Call it when the database has been opened: an Easel that cannot work there leaves the note as it is.
    """
    now, file = _Version(manifest.easel(), _changes()), data / FILE
    before = _read(file)
    if before == now:
        return
    if before is not None or any((data / PICTURES).glob("*/*")):
        log.info("%s: CHANGELOG.md says what changed", _words(before, now))
    try:
        file.write_bytes(msgspec.json.encode(now))
    except OSError as error:
        log.warning("%s cannot be written: %s", file, error.strerror or error)


def _words(before: _Version | None, now: _Version) -> str:
    if before is None:
        return f"this is Easel {now.easel}"
    if before.easel == now.easel:
        return f"another Easel {now.easel} worked here last"
    way = "upgraded" if _numbers(before.easel) < _numbers(now.easel) else "went back"
    return f"{way} from {before.easel} to {now.easel}"


def _read(file: Path) -> _Version | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Version)
    except (OSError, msgspec.MsgspecError):
        return None


def _changes() -> str:
    return hashlib.sha256(CHANGELOG.read_bytes()).hexdigest() if CHANGELOG.is_file() else ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
