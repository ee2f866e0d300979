"""What a process that the bot has started says on stdout and stderr: its lines come into the bot's log, and the last of
them are kept for when it dies.

The engine writes lines of the contract's (`protocol.logs`); whatever else comes, of a library or of a crash, is logged
as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import signal
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from inference.protocol import logs

log = logging.getLogger(__name__)

PIPE_BYTES = 2**20
"""So much may be said while nobody listens. What is more is left out by who says it: nobody waits for the log."""

LINE_BYTES = 512 * 2**10
"""A longer line is cut; what else belongs to it is left out."""

LAST_LINES, SHOWN_LINES, OF_A_CRASH = 500, 6, 10
"""So many are kept, so many of them told of a death, or so many from where a crash begins."""

TELLING_CHARS, KEPT_CHARS = 300, 2_000
"""Of what is said of a death in its line, and of each line that is kept for that."""

CRASH_LINES = 500

END_WITHIN_S = 1.0
"""How long after a process's end its last words may take: others that it has started may hold the pipe for longer."""

VMSTAT = Path("/proc/vmstat")

OPERATOR = "easel: "
"""How a process begins what its operator must do, before it ends with status 2."""

FATAL = "Fatal Python error: "
"""How faulthandler begins to say where a process crashes."""

CURRENT, THREAD = "Current thread 0x", "Thread 0x"
"""How it begins each thread's trace; the one that crashed may be none of Python's. The main thread comes last."""

_OF_RAY = re.compile(r"(?:\x1b\[\d+m)?\([^()]*pid=\d+[^()]*\)(?:\x1b\[0m)? (.*)", re.DOTALL)
"""How Ray begins the lines of a process of ours that runs elsewhere."""

_decoder = msgspec.json.Decoder(logs.Line)


class Hearing(asyncio.Protocol):
    """One end of a pipe whose other end is a process's stdout and stderr. It listens whatever else happens, so that the
    pipe is never full for long."""

    def __init__(self, name: str) -> None:
        """`name` is what the process is called."""
        self._name = name
        self._begun = b""
        self._cutting = False
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._told: deque[str] = deque(maxlen=LAST_LINES)
        self._crash: list[str] = []
        self._ended = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None

    @classmethod
    async def open(cls, name: str) -> tuple[Hearing, int]:
        """Begin to listen; returns who listens, and the descriptor to write to, which is the caller's to close."""
        reading, writing = os.pipe()
        # Where pipes cannot be so large they are as large as they are.
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        # Who writes never waits.
        os.set_blocking(writing, False)
        loop = asyncio.get_running_loop()
        _, hearing = await loop.connect_read_pipe(lambda: cls(name), os.fdopen(reading, "rb", buffering=0))
        return hearing, writing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            if not self._cutting:
                self._hear(self._begun + line)
            self._begun, self._cutting = b"", False
        self._begun += b"" if self._cutting else rest
        if len(self._begun) > LINE_BYTES:
            self._hear(self._begun)
            self._begun, self._cutting = b"", True

    def connection_lost(self, _: Exception | None) -> None:
        """Called by asyncio."""
        if self._begun:
            self._hear(self._begun)
            self._begun = b""
        self._log_crash()
        self._ended.set()

    async def close(self) -> None:
        """Hear what the process has said last, and listen no more. For when it has ended."""
        if self._transport is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await self._ended.wait()
        self._transport.close()
        self._log_crash()

    def told(self) -> str:
        """What the operator must do, in the words of a process that has ended for that; "" where it said nothing."""
        return self._told[-1] if self._told else ""

    def log_told(self) -> None:
        """Log what was said to the operator, where nobody is going to raise it."""
        for line in self._told:
            log.error("%s", line, extra={"engine": self._name})
        self._told.clear()

    def last_words(self) -> tuple[str, ...]:
        """What it said last that may tell why it died, a line each."""
        lines = list(self._last)
        begins = {sign: number for sign in (THREAD, CURRENT, FATAL) if (number := _last_with(sign, lines)) is not None}
        if FATAL not in begins:
            return tuple(lines[-SHOWN_LINES:])
        # What the crash is called, then where it happened.
        first = begins[FATAL]
        where = max(begins.get(CURRENT, begins.get(THREAD, first)), first + 1)
        return (lines[first], *lines[where : where + OF_A_CRASH])

    def telling(self) -> str:
        """Of the last words those that tell most: what the crash is called, or what came last."""
        words = self.last_words()
        return logs.cut(words[0] if words[0].startswith(FATAL) else words[-1], TELLING_CHARS) if words else ""

    def _hear(self, data: bytes) -> None:
        text = data[:LINE_BYTES].decode("utf-8", "backslashreplace").rstrip()
        if (of_ray := _OF_RAY.fullmatch(text)) is not None:
            text = of_ray[1]
        if not text:
            return
        if text.startswith(OPERATOR):
            self._told.append(logs.cut(text.removeprefix(OPERATOR), KEPT_CHARS))
            return
        try:
            line = _decoder.decode(text)
            record = logs.record_of(msgspec.structs.replace(line, engine=self._name))
        except (ValueError, OverflowError, msgspec.MsgspecError):
            self._last.append(logs.cut(text, KEPT_CHARS))
            if (text.startswith(FATAL) or self._crash) and len(self._crash) < CRASH_LINES:
                self._crash.append(logs.cut(text, KEPT_CHARS))
            else:
                # Whose it was nobody knows.
                log.warning("%s", text, extra={"engine": self._name, **logs.of()})
            return
        if record.levelno >= logging.WARNING:
            said = [line.message, *(line.exception or "").splitlines()[-1:]]
            self._last += [logs.cut(each, KEPT_CHARS) for each in said]
        if logging.getLogger().isEnabledFor(record.levelno):
            logging.getLogger().handle(record)

    def _log_crash(self) -> None:
        """Log all that was said of a crash, in one piece."""
        if self._crash:
            said = "\n".join(self._crash[1:])
            log.critical("%s", self._crash[0], extra={"engine": self._name, "said": said})
            self._crash.clear()


def _last_with(sign: str, lines: Sequence[str]) -> int | None:
    """Which is the last of these lines that begins so."""
    return next((number for number in reversed(range(len(lines))) if lines[number].startswith(sign)), None)


def oom_kills() -> int | None:
    """How many processes this system has ended because its memory was full; None where it does not tell."""
    with contextlib.suppress(OSError, ValueError), VMSTAT.open() as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
    return None


def ending(status: int | None, *, ours: bool, oom: bool) -> str:
    """The end of a process in words: its exit status (a signal's number, negative), whether the bot has ended it, and
    whether memory was full meanwhile."""
    if status is None or status >= 0:
        return f"exit status {status}"
    try:
        called = f"{signal.Signals(-status).name}, {(signal.strsignal(-status) or '').lower()}"
    except ValueError:
        called = "a signal"
    if ours:
        called = "ended by Easel"
    elif status == -signal.SIGKILL and oom:
        called = "ended by the system, whose memory was full"
    elif status == -signal.SIGKILL:
        called = "killed from outside, as the system does where memory is full"
    return f"exit status {status}: {called}"
