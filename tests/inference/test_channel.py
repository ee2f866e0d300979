"""Frames over the socket, and peers that break off or talk nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from inference.errors import PeerBroken, PeerGone
from inference.exchange.channel import Channel
from inference.protocol import (
    MAX_FRAME_BYTES,
    Alive,
    Batch,
    Cancel,
    Failed,
    Message,
    Preview,
    Progress,
    because,
    frame_bytes,
    pack,
    unpack_event,
)
from tests.inference.conftest import ask_for


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    yield ours, channel
    ours.close()
    channel.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[socket.socket, Channel]) -> None:
    ours, channel = ends
    sent: list[Message] = [Batch((ask_for(seed=2**64 - 1),)), Cancel(1)]
    ours.sendall(b"".join(pack(message) for message in sent))
    assert [channel.receive(), channel.receive()] == sent
    ours.shutdown(socket.SHUT_WR)
    assert channel.receive() is None
    assert not channel.peer_is_gone()


def test_events_are_frames_too(ends: tuple[socket.socket, Channel]) -> None:
    ours, channel = ends
    channel.send(Progress(1, 2, 3))
    frame = ours.recv(4096)
    assert len(frame) == 4 + int.from_bytes(frame[:4], "big")
    assert unpack_event(frame[4:]) == Progress(1, 2, 3)


@pytest.mark.parametrize(
    "nonsense",
    [
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x01\xc1",
        b"\x00\x00\x00\x02\x81\xa1",
        b"\x00\x00\x00\x06\x81\xa4type\x00"[:10],
        pack(Progress(1, 2, 3)),
    ],
)
def test_what_is_not_the_protocol_is_refused(nonsense: bytes, ends: tuple[socket.socket, Channel]) -> None:
    ours, channel = ends
    ours.sendall(nonsense)
    with pytest.raises(PeerBroken, match="not our protocol"):
        channel.receive()


def test_a_frame_cut_short_is_the_end(ends: tuple[socket.socket, Channel]) -> None:
    ours, channel = ends
    ours.sendall(pack(Cancel(1))[:-1])
    ours.close()
    assert channel.receive() is None
    assert channel.peer_is_gone()


def test_sending_to_nobody_says_so(ends: tuple[socket.socket, Channel]) -> None:
    ours, channel = ends
    ours.close()
    with pytest.raises(PeerGone):
        channel.send(Progress(1, 2, 3))


def test_sending_never_waits_for_a_bot_that_does_not_read_and_drops_what_is_stale(
    ends: tuple[socket.socket, Channel],
) -> None:
    ours, channel = ends
    more_than_a_socket_holds = b"x" * 2**20
    for step in range(100):
        channel.send(Progress(1, step, 100))
        channel.send(Preview(1, more_than_a_socket_holds))
        channel.send(Alive(loading=step < 50))
    channel.send(Failed(1, "internal", because("engine_broke")))
    closing = threading.Thread(target=channel.close)
    closing.start()
    received = []
    with ours.makefile("rb") as stream:
        while header := stream.read(4):
            received.append(unpack_event(stream.read(frame_bytes(header))))
    closing.join()
    assert received[-4:] == [
        Progress(1, 99, 100),
        Preview(1, more_than_a_socket_holds),
        Alive(loading=False),
        Failed(1, "internal", because("engine_broke")),
    ]
    assert len(received) < 20, "of what is told over and over only the newest waits"


def test_a_channel_that_waits_to_send_is_freed_by_a_bot_that_hangs_up(ends: tuple[socket.socket, Channel]) -> None:
    ours, channel = ends
    for job in range(10):
        channel.send(Preview(job, b"x" * 2**20))
    ours.close()
    channel.close()
    with pytest.raises(PeerGone):
        channel.send(Progress(1, 2, 3))


def test_a_channel_closed_here_has_nothing_to_receive_and_nobody_to_send_to(
    ends: tuple[socket.socket, Channel],
) -> None:
    _, channel = ends
    assert not channel.peer_is_gone()
    channel.close()
    # The reader thread may ask after the main thread has hung up.
    assert channel.receive() is None
    assert channel.peer_is_gone()
