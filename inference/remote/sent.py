"""Which jobs were sent to a server, kept on the disk before they are: one that was is never sent again by itself.

A job comes twice where the bot or this process was killed. What became of it at the server nobody can tell then, and it
may have been paid.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from inference.errors import NotKept
from inference.protocol import NO_ROOM, SENT, Imagine, fsync_folder

KEPT_S = 90 * 86400.0
"""No job is taken up again that late."""


def word(request: Imagine) -> str:
    """The same for the same job, and for no other, also where the numbers of jobs begin anew."""
    asked = msgspec.json.encode(replace(request, safety="block"))
    return f"{request.job}-{hashlib.sha256(asked).hexdigest()[:32]}"


class Sent:
    """The jobs that were sent, of one data folder."""

    def __init__(self, data: Path) -> None:
        # Each file is empty, and says of its job a number and a hash.
        self._folder = data / SENT

    def note(self, request: Imagine) -> bool:
        """Keep that this job is sent now, so that a power cut does not lose it; False where it was before.

        Raises NotKept where that cannot be written: then nothing may be sent.
        """
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            try:
                os.close(os.open(self._folder / word(request), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                return False
            fsync_folder(self._folder)
        except OSError as error:
            raise NotKept("disk_full" if error.errno in NO_ROOM else "disk_failed") from error
        return True

    def forget(self, request: Imagine) -> None:
        """This job came to nothing for certain, and cost nothing."""
        with suppress(OSError):
            (self._folder / word(request)).unlink()

    def sweep(self) -> None:
        """Remove what is too old to matter. That this fails is no reason to stop."""
        with suppress(OSError):
            for file in self._folder.iterdir():
                if time.time() - file.stat().st_mtime > KEPT_S:
                    file.unlink()
