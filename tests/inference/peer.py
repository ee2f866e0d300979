"""The bot's end of the socket, for tests: send messages, read events, never wait for ever."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.protocol import (
    Batch,
    Event,
    Failed,
    Finished,
    Message,
    Ready,
    Request,
    Waking,
    frame_bytes,
    pack,
    unpack_event,
)
from tests import forkserver
from tests.inference import folders

TIMEOUT_S = 180.0


class Peer:
    """A socket that speaks as the bot does."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(TIMEOUT_S)

    def send(self, *messages: Message) -> None:
        self.socket.sendall(b"".join(pack(message) for message in messages))

    def event(self) -> Event | None:
        """The next event, None where the engine has hung up."""
        header = self._read(4)
        if header is None:
            return None
        payload = self._read(frame_bytes(header))
        return None if payload is None else unpack_event(payload)

    def until(self, is_last: Callable[[Event], bool]) -> list[Event]:
        """Every event up to and including the one that is last."""
        events: list[Event] = []
        while not events or not is_last(events[-1]):
            event = self.event()
            assert event is not None, "the engine hung up"
            events.append(event)
        return events

    def ready(self) -> Ready:
        event = self.event()
        if isinstance(event, Waking):
            event = self.event()
        assert isinstance(event, Ready)
        return event

    def ends(self, count: int) -> dict[int, Finished | Failed]:
        """The final events of this many jobs, whatever else comes between."""
        ended: dict[int, Finished | Failed] = {}
        while len(ended) < count:
            event = self.event()
            assert event is not None, "the engine hung up"
            if isinstance(event, Finished | Failed):
                assert event.job not in ended
                ended[event.job] = event
        return ended

    def paint(self, *requests: Request, files: dict[str, bytes] | None = None) -> dict[int, Finished]:
        """Send these as one batch, with their inputs in place, and wait until all are finished."""
        folders.put(files or {})
        self.send(Batch(requests))
        ended = self.ends(len(requests))
        failures = [end for end in ended.values() if isinstance(end, Failed)]
        assert not failures, failures
        return {job: end for job, end in ended.items() if isinstance(end, Finished)}

    def _read(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                return None
            data += part
        return data


@contextmanager
def engine_process(
    catalog: Path, *, cold: bool = False, **changes: str
) -> Iterator[tuple[Peer, subprocess.Popen[str]]]:
    """A real `python -m inference` on this catalogue; hung up and waited for at the end.

    Where it starts `cold`, it reads its libraries itself and shares nothing with others.
    """
    ours, theirs = socket.socketpair()
    python = sys.executable if cold else forkserver.python()
    process = subprocess.Popen(
        [python, "-m", "inference", "--fd", str(theirs.fileno()), "--data", str(folders.data_folder())],
        pass_fds=[theirs.fileno()],
        env=environment(catalog, **changes),
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    try:
        yield Peer(ours), process
    finally:
        ours.close()
        try:
            process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def environment(catalog: Path, **changes: str) -> dict[str, str]:
    """The environment of an engine process in a test: no GPU, one thread."""
    return {
        **os.environ,
        "EASEL_MODELS": str(catalog),
        "EASEL_DEVICE": "cpu",
        "EASEL_THREADS": "1",
        "EASEL_LOG_LEVEL": "WARNING",
        **changes,
    }
