"""A trainer's end of the socket to the bot: what it is told while it works, and what it says.

A thread reads; whoever trains asks between two steps what was said.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import BinaryIO

from inference.errors import PeerBroken
from inference.exchange.joining import received
from inference.protocol import (
    Go,
    Held,
    Hold,
    Stop,
    Train,
    TrainerEvent,
    TrainerMessage,
    pack,
    unpack_trainer_message,
)


class Control:
    """What the bot wants of a trainer. It owns the socket from now on."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reading: BinaryIO = sock.makefile("rb")
        self._holding = False
        self._stopped = False
        self._changed = threading.Condition()

    def order(self) -> Train | None:
        """What is to be trained, which comes first; from then on what is said is heard. None where the bot is gone.
        Raises PeerBroken."""
        first = self._next()
        if first is not None and not isinstance(first, Train):
            raise PeerBroken("the bot did not begin with what is to be trained")
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        return first

    def say(self, event: TrainerEvent) -> None:
        """Say this. Where nobody hears it any more, the run is to be stopped."""
        try:
            self._socket.sendall(pack(event))
        except OSError:
            self.stop()

    def stop(self) -> None:
        """The run shall keep what it has come to and end, for whatever reason."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def is_stopped(self) -> bool:
        """Whether it shall."""
        with self._changed:
            return self._stopped

    def give_way(self, rest: Callable[[], bool], back: Callable[[], None]) -> None:
        """Where the device shall be others', wait until it may be used again, or the run is to be stopped.

        `rest` makes room on it meanwhile, and says whether it had to; `back` ends that, unless the run is stopped.
        """
        with self._changed:
            if not self._holding or self._stopped:
                return
        away = rest()
        self.say(Held(away))
        with self._changed:
            self._changed.wait_for(lambda: not self._holding or self._stopped)
            stopped = self._stopped
        if not stopped:
            back()

    def _read(self) -> None:
        """The reading thread: everything that is said, until the bot says no more."""
        while True:
            try:
                message = self._next()
            except PeerBroken:
                message = None
            with self._changed:
                match message:
                    case Hold():
                        self._holding = True
                    case Go():
                        self._holding = False
                    case Stop() | Train() | None:
                        self._stopped = True
                self._changed.notify_all()
            if message is None:
                return

    def _next(self) -> TrainerMessage | None:
        """The next that is said; None where nothing comes any more. Raises PeerBroken."""
        return received(self._exactly, unpack_trainer_message)

    def _exactly(self, size: int) -> bytes | None:
        try:
            read = self._reading.read(size)
        except OSError:
            return None
        return read if len(read) == size else None
