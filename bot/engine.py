"""The bot's end of the inference process: starts it, speaks with it, notices its death. Knows nothing of Discord."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from bot.errors import EngineDied, OperatorError
from inference.protocol import (
    Batch,
    Cancel,
    Event,
    Failed,
    Finished,
    Message,
    Ready,
    Request,
    frame_bytes,
    pack,
    unpack_event,
)

log = logging.getLogger(__name__)

READY_WITHIN_S = 300
"""Longest wait for the first event: importing torch from a cold, slow disk takes minutes at worst."""

STOP_WITHIN_S = 10
"""How long an engine that was hung up on, or hung up itself, may take to end before it is killed."""


class Engine(Protocol):
    """Where requests are run. Either it answers or it is dead: `run` raises EngineDied and `start` begins anew."""

    @property
    def ready(self) -> Ready:
        """What the engine can do, as it said when it was started last."""

    async def start(self) -> None:
        """Start, and return once it is ready. Raises OperatorError where it never will be, else EngineDied."""

    def run(self, requests: Sequence[Request], files: Mapping[str, bytes]) -> AsyncIterator[Event]:
        """Run the requests on these inputs; ends after the one final event of each. Raises EngineDied.

        Several runs may be under way at a time; what is quick then does not wait for what is slow.
        """

    async def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped; its final event tells whether that came in time."""

    async def close(self) -> None:
        """Stop, and return once it is gone."""


class LocalEngine:
    """One inference process on this machine, on the other end of a socket pair."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ` becomes the process's environment, without the Discord token: it has no need of it."""
        self._environ = {name: value for name, value in environ.items() if name != "DISCORD_TOKEN"}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ready: Ready | None = None
        self._listener: asyncio.Task[None] | None = None
        self._runs: dict[int, asyncio.Queue[Event | EngineDied]] = {}

    @property
    def ready(self) -> Ready:
        """What the engine can do, as it said when it was started last."""
        if self._ready is None:
            raise RuntimeError("the engine has not been started")
        return self._ready

    async def start(self) -> None:
        """Start the process and wait for its `Ready`.

        Raises OperatorError without a message where it ended with status 2: it has said why on stderr itself.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "inference", "--fd", str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                # A Ctrl-C in the terminal is the bot's to handle: it closes the engine in its own time.
                start_new_session=True,
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                event = await self._receive()
        except TimeoutError as error:
            await self._reap()
            raise EngineDied(f"the inference process said nothing for {READY_WITHIN_S} s") from error
        except EngineDied:
            if await self._reap() == 2:
                raise OperatorError("") from None
            raise
        if not isinstance(event, Ready):
            await self._reap()
            raise EngineDied("the inference process did not begin with Ready")
        self._ready = event
        self._listener = asyncio.create_task(self._listen())
        log.info("engine ready on %s: %s", event.device, ", ".join(model.name for model in event.models))

    async def run(self, requests: Sequence[Request], files: Mapping[str, bytes]) -> AsyncIterator[Event]:
        """Run the requests; ends after the one final event of each. Raises EngineDied, after which `start` again."""
        unfinished = {request.job for request in requests}
        events: asyncio.Queue[Event | EngineDied] = asyncio.Queue()
        self._runs |= dict.fromkeys(unfinished, events)
        try:
            await self._send(Batch(tuple(requests), dict(files)))
            while unfinished:
                event = await events.get()
                if isinstance(event, EngineDied):
                    raise event
                if isinstance(event, Finished | Failed):
                    unfinished.discard(event.job)
                yield event
        finally:
            for request in requests:
                self._runs.pop(request.job, None)

    async def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped; its final event tells whether that came in time."""
        with contextlib.suppress(EngineDied):  # then its jobs go back to the queue, where they can be cancelled
            await self._send(Cancel(job_id))

    async def close(self) -> None:
        """Hang up, which ends the process, and wait until it is gone."""
        if self._listener is not None:
            self._listener.cancel()
        await self._reap()

    async def _listen(self) -> None:
        """Bring every event to the run that waits for it, until the process ends; all runs hear of that."""
        try:
            while True:
                event = await self._receive()
                if isinstance(event, Ready):
                    raise EngineDied("the inference process said Ready twice")
                # A job whose run was given up may still end.
                if (events := self._runs.get(event.job)) is not None:
                    events.put_nowait(event)
        except EngineDied as error:
            await self._reap()
            for events in set(self._runs.values()):
                events.put_nowait(error)

    async def _send(self, message: Message) -> None:
        if self._writer is None:
            raise EngineDied("the inference process is not running")
        try:
            self._writer.write(pack(message))
            await self._writer.drain()
        except OSError as error:
            raise EngineDied("the inference process hung up") from error

    async def _receive(self) -> Event:
        if self._reader is None:
            raise EngineDied("the inference process is not running")
        try:
            header = await self._reader.readexactly(4)
            return unpack_event(await self._reader.readexactly(frame_bytes(header)))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise EngineDied("the inference process hung up") from error
        except (ValueError, msgspec.MsgspecError) as error:
            raise EngineDied(f"the inference process sent what nobody can read: {error}") from error

    async def _reap(self) -> int | None:
        """Hang up and wait for the process's end, forcing it where it takes too long; returns its exit status."""
        writer, process = self._writer, self._process
        self._reader = self._writer = self._process = None
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
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            return await process.wait()
