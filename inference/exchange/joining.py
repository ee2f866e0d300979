"""How a process that the bot has started joins it: the socket that it was given, and the frames that come by it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import TypeVar

import msgspec

from inference.errors import PeerBroken, SettingsError
from inference.protocol import frame_bytes

HEADER_BYTES = 4

T = TypeVar("T")


def bots_socket(fd: int) -> socket.socket:
    """The socket to the bot, whose this process is from now on: what it writes is nobody else's to read, and a Ctrl-C
    in the bot's terminal is the bot's to handle. Raises SettingsError where it is no open socket."""
    os.umask(0o077)
    try:
        sock = socket.socket(fileno=fd)
        sock.setblocking(True)
    except OSError as error:
        raise SettingsError(f"--fd {fd} is no open socket: the bot starts this process itself") from error
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return sock


def received(read: Callable[[int], bytes | None], unpack: Callable[[bytes], T]) -> T | None:
    """The next that the bot says, waiting for it; None once it will say no more.

    `read` returns exactly so many bytes, or None where the stream ends before them. Raises PeerBroken on bytes that are
    not our protocol.
    """
    if (header := read(HEADER_BYTES)) is None:
        return None
    try:
        payload = read(frame_bytes(header))
        return None if payload is None else unpack(payload)
    except (ValueError, msgspec.DecodeError) as error:
        raise PeerBroken(f"the bot sent something that is not our protocol: {error}") from error
