"""`python -m inference.remote --fd N --data DIR`: the engine of other servers, which the bot starts where the catalogue
names any.

Exit status as `python -m inference` has it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from inference import settings
from inference.catalog import fingerprint, reading
from inference.catalog.reading import Catalog
from inference.catalog.versions import version_of
from inference.errors import OperatorError, PeerBroken, PeerGone, SettingsError
from inference.exchange import words
from inference.exchange.channel import Channel
from inference.exchange.joining import bots_socket
from inference.marks.marking import Marks
from inference.protocol import INCOMING, PICTURES, Waking, logs
from inference.remote.engine import RemoteEngine, readiness


def main(arguments: list[str]) -> int:
    """Serve the bot over the inherited socket; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.remote", description="Easel's engine of other servers.")
    parser.add_argument("--fd", type=int, required=True, help="the socket: the bot itself says so")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the bot's data folder")
    try:
        asked = parser.parse_args(arguments)
        configured = settings.read(os.environ)
        logs.begin(configured.log_level, configured.log_format, words.unhindered())
        # They tell of every single request, and in detail of what it holds.
        for name in ("httpx", "httpx2", "httpcore2", "openai"):
            logging.getLogger(name).setLevel(logging.WARNING)
        known = reading.load(configured.models)
        if not all((asked.data / folder).is_dir() for folder in (PICTURES, INCOMING)):
            raise SettingsError(f"--data {asked.data} names no data folder: the bot starts this process itself")
        marks = Marks(watermark=configured.watermark)
        asyncio.run(_serve(known, _keys(known, os.environ), asked.fd, asked.data, marks))
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    except PeerBroken as error:
        logging.getLogger(__name__).critical("the engine ends: %s", error)
        return 1
    return 0


def _keys(known: Catalog, environ: Mapping[str, str]) -> dict[str, str | None]:
    """The key of each model. Raises SettingsError where one is not set."""
    for name, entry in known.remotes.items():
        if entry.key is not None and not environ.get(entry.key, "").strip():
            raise SettingsError(
                f"{entry.key} is not set, which models.{name} names as the key of {entry.host}: put it into .env, or"
                " take the model out of models.toml"
            )
    return {name: environ[entry.key].strip() if entry.key else None for name, entry in known.remotes.items()}


async def _serve(known: Catalog, keys: dict[str, str | None], fd: int, data: Path, marks: Marks) -> None:
    channel = Channel(bots_socket(fd))
    with closing(channel), suppress(PeerGone):
        told = [known.default, known.remotes, version_of("easel"), version_of("openai")]
        channel.send(Waking(fingerprint.word(told)))
        await RemoteEngine(known, keys, channel, data, marks).serve(readiness(known))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
