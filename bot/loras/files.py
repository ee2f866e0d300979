"""The files of members' LoRAs on disk, by the hashes of their bytes. Works in whatever thread it is called.

Which of them are wanted is known to `kept`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from inference.protocol import LORAS, fsync_folder, lora_file, place


class Files:
    """The folder `loras` of the data folder."""

    def __init__(self, data: Path) -> None:
        self._all = data / LORAS

    def path(self, sha256: str) -> Path:
        """Where the file of this hash lies, if it does."""
        return lora_file(self._all, sha256)

    def preview(self, sha256: str) -> Path:
        """Where the picture of this hash lies that shows what a LoRA does, if it does."""
        return place(self._all, sha256)

    def take(self, source: Path) -> tuple[str, int]:
        """Keep a copy of this LoRA or preview, so that it survives a power cut; its hash and its size. Twice does no
        harm.

        Raises OSError, FileNotFoundError where there is none.
        """
        self._all.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._all / f"{secrets.token_hex(8)}.part"
        try:
            with source.open("rb") as read, open(part, "xb", opener=_for_the_owner_alone) as written:
                shutil.copyfileobj(read, written, 2**20)
                written.flush()
                os.fsync(written.fileno())
            # Of the copy: the other may be changed meanwhile.
            with part.open("rb") as copied:
                sha256 = hashlib.file_digest(copied, "sha256").hexdigest()
            size, target = part.stat().st_size, lora_file(self._all, sha256).with_suffix(source.suffix)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            part.replace(target)
            fsync_folder(target.parent)
            fsync_folder(self._all)
        finally:
            part.unlink(missing_ok=True)
        return sha256, size

    def drop(self, hashes: Collection[str]) -> None:
        """Remove these files; one that is not there is no error. Raises OSError."""
        for sha256 in hashes:
            for file in (self.path(sha256), self.preview(sha256)):
                file.unlink(missing_ok=True)

    def missing(self, hashes: Collection[str]) -> list[str]:
        """Those of these files that are not there."""
        return [
            sha256
            for sha256 in sorted(hashes)
            if not self.path(sha256).is_file() and not self.preview(sha256).is_file()
        ]

    def tidy(self, wanted: Collection[str]) -> None:
        """Remove everything that is none of these files: what a kill has left. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            for file in self._all.rglob("*"):
                ours = file.stem in wanted and file in (self.path(file.stem), self.preview(file.stem))
                if file.is_file() and not ours:
                    file.unlink(missing_ok=True)


def _for_the_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
