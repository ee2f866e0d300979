"""One end of the socket between the bot and this process: frames in, frames out.

Reading belongs to one thread; sending is safe from any thread.
"""

from __future__ import annotations

import select
import socket
import threading

import msgspec

from inference.errors import PeerBroken, PeerGone
from inference.protocol import Event, Message, frame_bytes, pack, unpack_message

HEADER_BYTES = 4


class Channel:
    """Frames over a connected stream socket, which it owns from now on. Close it when done."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()

    @classmethod
    def from_fd(cls, fd: int) -> Channel:
        """The channel over an inherited file descriptor. Raises OSError where it is no open socket."""
        sock = socket.socket(fileno=fd)
        sock.setblocking(True)
        return cls(sock)

    def receive(self) -> Message | None:
        """The next message, waiting for it; None once the bot will send no more.

        Raises PeerBroken on bytes that are not our protocol.
        """
        header = self._read(HEADER_BYTES)
        if header is None:
            return None
        try:
            payload = self._read(frame_bytes(header))
            if payload is None:
                return None
            return unpack_message(payload)
        except (ValueError, msgspec.DecodeError) as error:
            raise PeerBroken(f"the bot sent something that is not our protocol: {error}") from error

    def send(self, event: Event) -> None:
        """Send one event, waiting while the bot is slow. Raises PeerGone where the bot has hung up."""
        frame = pack(event)
        try:
            with self._sending:
                self._socket.sendall(frame)
        except OSError as error:
            raise PeerGone("the bot has hung up") from error

    def peer_is_gone(self) -> bool:
        """Whether the bot has closed its end altogether, and not only stopped sending; or this end was closed."""
        descriptor = self._socket.fileno()
        if descriptor < 0:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLHUP)
        return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

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
