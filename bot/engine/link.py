"""A process at the other end of a socket pair, which exchanges frames with this one. Knows none of their words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.engine.hearing import Hearing, ending, oom_kills
from bot.errors import EngineDied
from inference.protocol import frame_bytes

STOP_WITHIN_S = 10
"""How long a process that was hung up on, or hung up itself, may take to end before it is killed."""


MUST_ACT = 2
"""The exit status of a process that cannot run until the operator does something."""


class Link:
    """A child process of this one and the socket to it. `open` it, and `reap` it in the end, whatever happened."""

    def __init__(self, name: str, *, heard: bool = True) -> None:
        """`name` is what errors and the log call it. Where it is `heard`, what it says is logged here; else it says
        that where this process does."""
        self._name = name
        self._is_heard = heard
        self.hearing = Hearing(name)
        """What it has said."""
        self.why = ""
        """How the process died last, in a line."""
        self._killed = False
        self._oom_kills: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> None:
        """Start Python with these arguments, and `--fd` for the socket, in this folder or where this process is.

        Raises EngineDied where that cannot be done.
        """
        ours, theirs = socket.socketpair()
        says: int | None = None
        if self._is_heard:
            self.hearing, says = await Hearing.open(self._name)
        self._killed, self._oom_kills = False, oom_kills()
        with theirs:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, *arguments, "--fd", str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    env=environ,
                    cwd=folder,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=says,
                    stderr=says,
                    # A Ctrl-C in the terminal is for the bot to handle: it closes the process in its own time.
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise EngineDied(f"{self._name} cannot be started: {error}") from error
            finally:
                if says is not None:
                    os.close(says)
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
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)

    async def reap(self) -> int | None:
        """Hang up and wait for the process's end, forcing it where it takes too long; returns its exit status.

        Where that is MUST_ACT, `hearing.told` is what the operator must do.
        """
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
                await process.wait()
        except TimeoutError:
            self.kill()
            await process.wait()
        finally:
            self._process = None
            await self.hearing.close()
            if process.returncode != MUST_ACT:
                self.hearing.log_told()
        return process.returncode

    def death(self, error: EngineDied, status: int | None, at_work: frozenset[int] = frozenset()) -> EngineDied:
        """The error with all that is known of how the process ended, which was reaped with this status."""
        kills, telling = oom_kills(), self.hearing.telling()
        oom = kills is not None and self._oom_kills is not None and kills > self._oom_kills
        how = ending(status, ours=self._killed, oom=oom)
        said = f"; it said last: {telling}" if telling else ""
        self.why = f"{error} ({how}{said})"
        return EngineDied(self.why, at_work, self.hearing.last_words())


def spoken_of(name: str, died: EngineDied) -> dict[str, object]:
    """What a line of the log is given as `extra` that tells of the death of the engine of this name: at work on what it
    was, and its last words."""
    return {"engine": name, "jobs": tuple(sorted(died.at_work)), "said": "\n".join(died.last_words)}
