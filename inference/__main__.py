"""`python -m inference`: the engine process, and what the operator does about models.

    python -m inference --fd N --data DIR     serve the bot over the inherited socket N, with pictures in this folder
    python -m inference --list                which models the catalogue has, and which are on this machine
    python -m inference --fetch NAME          download its weights from where the catalogue says, its partners' too
    python -m inference --fetch NAME@COMMIT   its weights alone, as they were in a commit of the hub
    python -m inference --add PLACE           what this file or folder is; its entry goes into models.toml
    python -m inference --convert PLACE       safetensors beside a pickle, or beside those of a folder

Exit status: 0 when the bot hung up, 1 when the engine died and should be started again, 2 when the operator must act
(one line on stderr says how).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from inference import settings
from inference.catalog import adding, fetching, headers, looking, reading, weights
from inference.catalog.entries import Entry, FileEntry, ModelEntry, UpscalerEntry
from inference.errors import DeviceLost, OperatorError, PeerBroken, SettingsError
from inference.exchange.channel import Channel
from inference.marks import signing
from inference.protocol import INCOMING, PICTURES


def main(arguments: list[str]) -> int:
    """Run one of these and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference", description="Easel's inference process.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--fd", type=int, help="serve the bot over this inherited socket")
    what.add_argument("--list", action="store_true", help="list what the catalogue has")
    what.add_argument("--fetch", metavar="NAME[@COMMIT]", help="download the weights of this entry")
    what.add_argument("--add", type=Path, metavar="PLACE", help="write an entry for this file or folder of weights")
    what.add_argument("--convert", type=Path, metavar="PLACE", help="make safetensors of pickled weights")
    parser.add_argument("--name", help="what the entry is called; with --add")
    parser.add_argument("--config", type=Path, metavar="DIR", help="its configurations, for odd sizes; with --add")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the bot's data folder; needed with --fd")
    asked = parser.parse_args(arguments)
    if asked.add is None and (asked.name or asked.config):
        parser.error("--name and --config go with --add")
    # With it torch would run what is pickled into a file of weights.
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    if asked.fetch is None:
        # Only --fetch uses the network; the Hugging Face libraries read this when they are first imported.
        os.environ["HF_HUB_OFFLINE"] = "1"
        for secret in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            os.environ.pop(secret, None)
    try:
        configured = settings.read(os.environ)
        _log_to_stderr(configured.log_level)
        if asked.convert is not None:
            return _convert(asked.convert)
        known = reading.load(configured.models)
        if asked.add is not None:
            return _add(configured.models, known, asked.add, asked.name, asked.config)
        if asked.list:
            return _list(known)
        if asked.fetch is not None:
            _fetch(known, asked.fetch, configured.log_level)
        else:
            _serve(configured, known, asked.fd, asked.data)
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    except (PeerBroken, DeviceLost) as error:
        logging.getLogger(__name__).critical("the engine ends: %s", error)
        return 1
    return 0


def _list(known: reading.Catalog) -> int:
    """Print the table, then a line for everything that is here and cannot be used, and return the exit status."""
    here = weights.inventory(known)
    defects = weights.defects(known)
    rows = [("NAME", "FAMILY", "HERE", "WHERE FROM")]
    for kind in reading.KINDS:
        for name, entry in known.entries(kind).items():
            match entry:
                case ModelEntry():
                    family, source = str(entry.family), entry.url or entry.path or entry.repo
                case UpscalerEntry():
                    family, source = entry.arch or kind, entry.url or entry.path
                case FileEntry():
                    family, source = kind, entry.url or entry.path
                case _:
                    family, source = kind, entry.path or entry.repo
            if not isinstance(entry, FileEntry) and entry.repo is not None:
                # The commit that is here; else what would be fetched.
                source = f"{entry.repo}@{weights.commit(entry) or entry.revision or 'main'}"
            found = "broken" if (kind, name) in defects else "yes" if name in here[kind] else "no"
            rows.append((name, family, found, str(source)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip())
    for kind in reading.KINDS:
        for name in known.entries(kind):
            if (kind, name) not in defects and (reason := weights.reason(known, kind, name)) is not None:
                print(f"[{kind}s.{name}] {reason}")
    for (kind, name), reason in defects.items():
        print(f"easel: [{kind}s.{name}] {reason}", file=sys.stderr)
    return 2 if defects else 0


def _add(toml: Path, known: reading.Catalog, place: Path, name: str | None, config: Path | None) -> int:
    """Say what lies there and write its entry, and return the exit status."""
    pickled = None
    if place.is_file() and place.suffix in headers.PICKLES:
        # Imported here: torch takes seconds, and only a pickle needs it.
        from inference.models import converting

        pickled = converting.shapes(place)
    found = looking.look(place, known, pickled, config)
    if found.kind == "embedding":
        # It is small, and which tensors are one is known to what reads it.
        from inference.models import vectors

        vectors.read(found.place, found.title)
    called = adding.add(toml, found, name)
    print(f"{found.place} is {found.words}: it is [{found.kind}s.{called}] in {toml} now")
    return 0


def _convert(place: Path) -> int:
    """Print what was made of the pickles there, and return the exit status."""
    # Imported here: torch takes seconds.
    from inference.models import converting

    for made in converting.convert(place):
        print(made)
    return 0


def _fetch(known: reading.Catalog, wanted: str, log_level: str) -> None:
    name, _, revision = wanted.partition("@")
    if any(_is_of_hub(entry) for entry in fetching.wanted(known, name)):
        _quieten_libraries(log_level)
    for place in fetching.fetch(known, name, revision or None):
        print(place)
    if revision:
        print(f"easel: to use it, write revision = {revision!r} into models.toml", file=sys.stderr)


def _is_of_hub(entry: Entry) -> bool:
    return not isinstance(entry, FileEntry) and entry.repo is not None


def _serve(configured: settings.Settings, known: reading.Catalog, fd: int, data: Path | None) -> None:
    if data is None or not all((data / folder).is_dir() for folder in (PICTURES, INCOMING)):
        raise SettingsError(f"--data {data or ''} names no data folder of a bot: the bot starts this process itself")
    # What is written for the bot is nobody else's to read.
    os.umask(0o077)
    try:
        channel = Channel.from_fd(fd)
    except OSError as error:
        raise SettingsError(f"--fd {fd} is no open socket: the bot starts this process itself") from error
    # Ctrl-C in a terminal reaches this process too; the bot hears it and hangs up when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with closing(channel):
        here = weights.require(known)
        sign = None if configured.c2pa is None else signing.load(*configured.c2pa)
        # Imported here: torch and diffusers take seconds that the mistakes above need not wait for.
        from inference import device, engine
        from inference.marks.marking import Marks
        from inference.models import placement
        from inference.models.store import Store

        _quieten_libraries(configured.log_level)
        chosen = device.choose(configured.device, configured.threads)
        placement.require({name: known.models[name] for name in here["model"]}, chosen)
        store = Store(catalog=known, device=chosen, vram_budget_bytes=configured.vram_budget_bytes)
        marks = Marks(watermark=configured.watermark, sign=sign)
        ready = engine.readiness(known, here, chosen, marks, configured.vram_budget_bytes)
        engine.Engine(known, store, channel, data, marks).serve(ready)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.captureWarnings(True)


def _quieten_libraries(level: str) -> None:
    """Let diffusers and transformers log as everybody else does, their advice only to who asks for details."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_default_handler()
        library.enable_propagation()
        library.disable_progress_bar()
        if level != "DEBUG":
            library.set_verbosity_error()
    if level != "DEBUG":
        # By which the hub's library asks: they tell of every single request.
        for name in ("httpx", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
