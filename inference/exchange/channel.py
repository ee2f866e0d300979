"""One end of the socket between the bot and this process: frames in, frames out.

Reading belongs to one thread; sending is safe from any thread and never waits, for a step must not wait for the bot:
a thread of its own writes what was sent, and of what is told over and over only the newest.
"""

from __future__ import annotations

import itertools
import select
import socket
import threading
from collections import OrderedDict
from collections.abc import Hashable

from inference.errors import PeerGone
from inference.exchange.joining import received
from inference.protocol import (
    Alive,
    Event,
    Holding,
    Message,
    Preview,
    Progress,
    pack,
    unpack_message,
)


class Channel:
    """Frames over a connected stream socket, which it owns from now on. Close it when done."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._unsent: OrderedDict[Hashable, bytes] = OrderedDict()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._open = True
        self._sender = threading.Thread(target=self._send_all, name="sending", daemon=True)
        self._sender.start()

    def receive(self) -> Message | None:
        """The next message, waiting for it; None once the bot will send no more.

        Raises PeerBroken on bytes that are not our protocol.
        """
        return received(self._read, unpack_message)

    def send(self, event: Event) -> None:
        """Send one event soon, in its turn, without waiting for it.

        Raises PeerGone where the bot has hung up, FrameTooLarge where no bot would take it.
        """
        frame = pack(event)
        with self._changed:
            if not self._open or self.peer_is_gone():
                raise PeerGone("the bot has hung up")
            subject = self._subject(event)
            # Anew at the end: what is said of a job now comes after what was said before.
            self._unsent.pop(subject, None)
            self._unsent[subject] = frame
            self._changed.notify()

    def peer_is_gone(self) -> bool:
        """Whether the bot has closed its end altogether, and not only stopped sending; or this end was closed."""
        descriptor = self._socket.fileno()
        if descriptor < 0:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLHUP)
        return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))

    def close(self) -> None:
        """Hang up, once all that was sent is written or the bot is gone."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._sender.join()
        self._socket.close()

    def _subject(self, event: Event) -> Hashable:
        """What an event is about: while it waits, a later one about the same takes its place."""
        match event:
            case Progress() | Preview():
                return type(event), event.job
            case Alive() | Holding():
                return type(event)
            case _:
                return next(self._numbers)

    def _send_all(self) -> None:
        """The sending thread: what waits, one after the other, until the channel is closed or the bot is gone."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsent or not self._open)
                if not self._unsent:
                    return
                _, frame = self._unsent.popitem(last=False)
            try:
                self._socket.sendall(frame)
            except OSError:
                with self._changed:
                    self._open = False
                    self._unsent.clear()
                return

    def _read(self, size: int) -> bytes | None:
        """Exactly `size` bytes, or None where the stream ends before them."""
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            try:
                received = self._socket.recv_into(view)
            except OSError:  # the bot is gone, or this end was closed meanwhile
                return None
            if received == 0:
                return None
            view = view[received:]
        return bytes(buffer)
