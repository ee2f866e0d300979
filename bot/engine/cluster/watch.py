"""`python -m bot.engine.cluster.watch`: says which places for engines a cluster has, whenever they change.

It joins the cluster, or makes one of this machine, and writes a frame with a `Seen` into the socket that it was given.
It ends when that is closed: with status 0, with 1 where the cluster is gone, with 2 where the operator must act.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import sys
from typing import Any

import msgspec

from bot.engine.cluster import places
from bot.engine.cluster.joining import AUTH_MODE, join
from bot.engine.cluster.places import Seen
from bot.errors import OperatorError

LOOK_EVERY_S = 1.0


def main(arguments: list[str]) -> int:
    """Watch until nobody listens any more; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bot.engine.cluster.watch")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--device", required=True)
    asked = parser.parse_args(arguments)
    try:
        ray = join(asked.address, heard=False)
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    with socket.socket(fileno=asked.fd) as bot:
        return _watch(ray, bot, asked.address, asked.device)


def _watch(ray: Any, bot: socket.socket, address: str, device: str) -> int:
    said = None
    # Who comes through the gate of a remote cluster comes through it again; everybody else to where its nodes meet.
    meeting = address if address.startswith("ray://") else ray.get_runtime_context().gcs_address
    while True:
        try:
            seen = Seen(meeting, os.environ.get(AUTH_MODE), places.of_nodes(ray.nodes(), device))
        except Exception as error:  # whatever it is called, nothing can be seen any more
            print(f"easel: the Ray cluster {address} is gone: {str(error).partition(chr(10))[0]}", file=sys.stderr)
            return 1
        if seen != said:
            payload = msgspec.msgpack.encode(seen)
            try:
                bot.sendall(len(payload).to_bytes(4, "big") + payload)
            except OSError:
                return 0
            said = seen
        readable, _, _ = select.select([bot], [], [], LOOK_EVERY_S)
        if readable and not bot.recv(1):
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
