"""What this process writes to stdout and stderr while the bot listens: nothing that is said ever keeps it from working.

The pipe to the bot may be full or closed: what it does not take is left out, and how much that was is said later.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import sys
from os import write
from threading import Lock
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDERR = 2


class Unhindered(io.RawIOBase):
    """A descriptor that is written to without an error, and, where it does not block, without waiting."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._rest = b""
        """Of the last piece what the pipe did not take: a line that has begun is written to its end."""
        self._left_out = 0
        self._lock = Lock()

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def write(self, data: ReadableBuffer, /) -> int:
        """Write this as a whole, or leave it out as a whole."""
        piece = bytes(data)
        note = b"(%d pieces were left out here)\n" % self._left_out if self._left_out else b""
        with self._lock:
            self._rest = self._rest[self._written(self._rest) :]
            taken = 0 if self._rest else self._written(note + piece)
            if taken:
                self._rest, self._left_out = (note + piece)[taken:], 0
            else:
                self._left_out += bool(piece)
        return len(piece)

    def _written(self, data: bytes) -> int:
        """How many of these bytes the descriptor takes."""
        # BlockingIOError where the pipe is full, BrokenPipeError where the bot is gone.
        with contextlib.suppress(OSError):
            return write(self._descriptor, data) if data else 0
        return 0


def unhindered() -> TextIO:
    """Let everything that Python code prints here be heard by the bot, and say where a crash happened; returns what to
    log to."""
    stream = io.TextIOWrapper(
        Unhindered(STDERR),  # type: ignore[type-var]
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )
    sys.stdout = sys.stderr = stream
    faulthandler.enable(STDERR)
    return stream
