"""A process at the other end of a socket pair, which exchanges frames with this one. Knows none of their words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.errors import EngineDied
from inference.protocol import frame_bytes

STOP_WITHIN_S = 10
"""How long a process that was hung up on, or hung up itself, may take to end before it is killed."""


class Link:
    """A child process of this one and the socket to it. `open` it, and `reap` it in the end, whatever happened."""

    def __init__(self, name: str) -> None:
        """`name` is what errors call it."""
        self._name = name
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> None:
        """Start Python with these arguments, and `--fd` for the socket, in this folder or where this process is.

        Raises EngineDied where that cannot be done.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, *arguments, "--fd", str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    env=environ,
                    cwd=folder,
                    stdin=asyncio.subprocess.DEVNULL,
                    # A Ctrl-C in the terminal is for the bot to handle: it closes the process in its own time.
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise EngineDied(f"{self._name} cannot be started: {error}") from error
        self._reader, self._writer = await asyncio.open_connection(sock=ours)

    @property
    def pid(self) -> int | None:
        """The number of the process that was started last, while it is there."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def send(self, frame: bytes) -> None:
        """Send a frame. Raises EngineDied."""
        if self._writer is None:
            raise EngineDied(f"{self._name} is not running")
        try:
            self._writer.write(frame)
            await self._writer.drain()
        except OSError as error:
            raise EngineDied(f"{self._name} hung up") from error

    async def receive(self) -> bytes:
        """What the next frame holds, waiting for it. Raises EngineDied where none comes, or none that is whole."""
        if self._reader is None:
            raise EngineDied(f"{self._name} is not running")
        try:
            return await self._reader.readexactly(frame_bytes(await self._reader.readexactly(4)))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise EngineDied(f"{self._name} hung up") from error
        except ValueError as error:
            raise EngineDied(f"{self._name} sent what nobody can read: {error}") from error

    def hang_up(self) -> None:
        """Send no more, which ends the process in its own time: whoever receives hears of it."""
        if self._writer is not None:
            self._writer.close()

    def kill(self) -> None:
        """End the process at once, and those that it has started: whoever receives hears of it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)

    async def reap(self) -> int | None:
        """Hang up and wait for the process's end, forcing it where it takes too long; returns its exit status."""
        writer, process = self._writer, self._process
        self._reader = self._writer = None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if process is None:
            return None
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                return await process.wait()
        except TimeoutError:
            self.kill()
            return await process.wait()
        finally:
            self._process = None
