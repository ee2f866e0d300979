"""The folders of pictures that both halves share, and how a file gets into one so that it stays.

Pictures do not travel through the socket: messages name files. What a picture shows, and which job it belongs to, is
known elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path
from typing import NamedTuple

PICTURES = "pictures"
"""The folder in the data folder of what jobs use and have made, by hash. The bot's: the engine only reads there."""

INCOMING = "incoming"
"""The folder beside it of files that are complete and belong to no job yet. The bot takes them over by renaming."""


LORAS = "loras"
"""The folder in the data folder of the LoRAs that members have trained, by hash. The bot's as well."""

SENT = "sent"
"""The folder beside it by which is known what was sent to other servers. Only they write there who send."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors by which a disk says that it is full, and nothing is broken."""


class Left(NamedTuple):
    """A file that was left in `incoming`."""

    file: str
    """Its name there."""
    sha256: str
    """Of its bytes, as 64 hex digits."""
    ingredient: str | None = None
    """What belongs to it and was left there as well: what an upload said of where it comes from."""


def sha256_of(data: bytes) -> str:
    """The name that a picture of these bytes is kept under."""
    return hashlib.sha256(data).hexdigest()


def place(pictures: Path, sha256: str) -> Path:
    """Where the picture of this hash lies in that folder."""
    return pictures / sha256[:2] / f"{sha256}.png"


def lora_file(loras: Path, sha256: str) -> Path:
    """Where the LoRA of this hash lies in that folder."""
    return loras / sha256[:2] / f"{sha256}.safetensors"


def leave(incoming: Path, data: bytes) -> Left:
    """Write a PNG into this folder so that it survives a power cut, for the bot to take over.

    Raises OSError where it cannot be kept; then nothing is left of it.
    """
    sha256 = sha256_of(data)
    # The same picture may be made twice at once, and each is taken over by itself.
    path = incoming / f"{sha256}-{secrets.token_hex(4)}.png"
    begun = path.with_name(f"{path.name}.part")
    # Somebody may have tidied it away.
    incoming.mkdir(mode=0o700, exist_ok=True)
    try:
        with open(begun, "xb", opener=_for_the_owner_alone) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        begun.rename(path)
        fsync_folder(incoming)
    except BaseException:
        for trace in (begun, path):
            with contextlib.suppress(OSError):
                trace.unlink()
        raise
    return Left(path.name, sha256)


def fsync_folder(folder: Path) -> None:
    """Let what was renamed into this folder or out of it survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _for_the_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
