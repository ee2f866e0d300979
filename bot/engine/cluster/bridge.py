"""`python -m bot.engine.cluster.bridge`: one engine in a cluster, for the bot as if it ran here.

It is started as `python -m inference` is, speaks as that does over the same socket, leaves results in the same folder
and ends as that ends: with status 0 when the bot has hung up, with 1 when the engine, its actor or its node died, with
2 where the operator must act.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bot.engine.cluster.host import Host, Told
from bot.engine.cluster.joining import join
from bot.errors import OperatorError
from inference.protocol import (
    INCOMING,
    LORAS,
    NO_ROOM,
    PICTURES,
    Batch,
    Failed,
    Finished,
    because,
    frame_bytes,
    leave,
    logs,
    lora_file,
    pack,
    place,
    sha256_of,
    unpack_event,
    unpack_message,
)

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Stand for the engine until it or the bot is gone; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bot.engine.cluster.bridge")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--address", required=True, help="of the cluster")
    parser.add_argument("--node", required=True, help="the id of the node that the engine is to be on")
    parser.add_argument("--name", required=True, help="what the actor is called")
    parser.add_argument("--card", action="store_true", help="give the engine a card; else it has a processor")
    asked = parser.parse_args(arguments)
    os.umask(0o077)
    logs.begin(os.environ.get("EASEL_LOG_LEVEL", "INFO").upper(), "json")
    try:
        ray = join(asked.address, heard=True)
    except OperatorError as error:
        # It could be joined before: it will come back, or `watch` says why not.
        log.error("%s", error)
        return 1
    bot = socket.socket(fileno=asked.fd)
    return asyncio.run(Bridge(ray, asked.data).stand(bot, _actor(ray, asked.node, asked.name, card=asked.card)))


def _actor(ray: Any, node: str, name: str, *, card: bool) -> Any:
    """An engine's host on this node. It ends with this process."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    settings = {key: value for key, value in os.environ.items() if key.startswith("EASEL_")}
    options = {
        # A second time before the one that died is forgotten, or by the bot of another community.
        "name": f"{name} {secrets.token_hex(3)}",
        "num_cpus": 0 if card else 1,
        "num_gpus": 1 if card else 0,
        "max_restarts": 0,
        # Sending, receiving, and the operator's question.
        "max_concurrency": 4,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
    }
    return ray.remote(Host).options(**options).remote(settings, "cuda" if card else "cpu")


class Bridge:
    """Frames and pictures between the bot and an actor."""

    def __init__(self, ray: Any, data: Path) -> None:
        self._ray = ray
        self._data = data

    async def stand(self, bot: socket.socket, host: Any) -> int:
        """Pass everything on, both ways, until one of them is gone; returns the exit status."""
        reader, writer = await asyncio.open_connection(sock=bot)
        try:
            await _answer(host.start.remote())
            ways = [asyncio.create_task(each) for each in (self._to_engine(reader, host), self._to_bot(host, writer))]
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            return max(way.result() for way in done)
        except self._ray.exceptions.RayError as error:
            first, *others = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            log.error("the engine is gone: %s%s", first, f" … {others[-1].strip()}" if others else "")
            return 1
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _to_engine(self, reader: asyncio.StreamReader, host: Any) -> int:
        while True:
            try:
                payload = await reader.readexactly(frame_bytes(await reader.readexactly(4)))
            except (asyncio.IncompleteReadError, OSError):
                return 0
            inputs, loras = await asyncio.to_thread(self._inputs, payload)
            await _answer(host.send.remote(payload, inputs, loras))

    async def _to_bot(self, host: Any, writer: asyncio.StreamWriter) -> int:
        while True:
            told: Told | int | None = await _answer(host.receive.remote())
            if not isinstance(told, tuple):
                log.error("the engine has ended (exit status %s)", told)
                return 2 if told == 2 else 1
            payload, files = told
            frame = len(payload).to_bytes(4, "big") + payload
            if files:
                frame = await asyncio.to_thread(self._kept, payload, files)
            try:
                writer.write(frame)
                await writer.drain()
            except OSError:
                return 0

    def _inputs(self, payload: bytes) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """The pictures that a message's requests work on, and members' LoRAs that they work with, by hash; without
        those that are not here: the engine says so."""
        try:
            requests = _requests(unpack_message(payload))
        except msgspec.MsgspecError:
            return {}, {}
        pictures = {each.sha256 for request in requests for each in request.inputs}
        loras = {sha256 for request in requests for sha256 in request.lora_files}
        return self._read(PICTURES, place, pictures), self._read(LORAS, lora_file, loras)

    def _read(self, folder: str, place: Callable[[Path, str], Path], hashes: Iterable[str]) -> dict[str, bytes]:
        found = {}
        for sha256 in hashes:
            with contextlib.suppress(OSError, ValueError):
                found[sha256] = place(self._data / folder, sha256).read_bytes()
        return found

    def _kept(self, payload: bytes, files: dict[str, bytes]) -> bytes:
        """The frame of a result whose pictures lie in the bot's folder from now on."""
        event = unpack_event(payload)
        assert isinstance(event, Finished), "nothing else names files"
        kept = []
        try:
            for picture in event.pictures:
                data = files[picture.file]
                if sha256_of(data) != picture.sha256:
                    raise OSError(f"{picture.file} was damaged on its way")
                kept.append(replace(picture, file=leave(self._data / INCOMING, data).file))
        except OSError as error:
            with logs.about(event.job):
                log.error("the result cannot be kept: %s", error)
            for picture in kept:
                with contextlib.suppress(OSError):
                    (self._data / INCOMING / picture.file).unlink()
            return pack(
                Failed(event.job, "internal", because("disk_full" if error.errno in NO_ROOM else "disk_failed"))
            )
        return pack(replace(event, pictures=tuple(kept)))


def _requests(message: object) -> Any:
    return message.requests if isinstance(message, Batch) else ()


async def _answer(reference: Any) -> Any:
    """What an actor answers, whichever way this process has joined its cluster."""
    # Shielded: Ray's client is not prepared for a future of its own that somebody has cancelled.
    return await asyncio.shield(asyncio.wrap_future(reference.future()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
