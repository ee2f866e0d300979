"""The pictures on disk, each named by the SHA-256 of its bytes, so that the same picture lies there once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path


def sha256_of(data: bytes) -> str:
    """The name that a picture of these bytes is kept under."""
    return hashlib.sha256(data).hexdigest()


class Pictures:
    """A folder of PNG files. Which job a file belongs to is known to the database alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, data: bytes) -> str:
        """Write the picture so that it survives a power cut; returns its SHA-256 as 64 hex digits."""
        return await asyncio.to_thread(self._keep, data)

    async def read(self, sha256: str) -> bytes:
        """The bytes kept under this hash. Raises FileNotFoundError."""
        return await asyncio.to_thread(self._path(sha256).read_bytes)

    async def drop(self, sha256: str) -> None:
        """Remove the picture; one that is not there is no error."""
        await asyncio.to_thread(self._path(sha256).unlink, missing_ok=True)

    def _keep(self, data: bytes) -> str:
        sha256 = sha256_of(data)
        path = self._path(sha256)
        if path.exists():
            return sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside its place and renamed into it: the name never stands for half a picture.
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
        return sha256

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.png"
