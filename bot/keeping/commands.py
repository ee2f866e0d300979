"""The commands by which an operator makes backups and brings them back, and what they print."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bot.errors import OperatorError
from bot.keeping import backup, files, restore, shelves
from bot.keeping.manifest import Manifest

if TYPE_CHECKING:
    Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

COMMANDS = ("backup", "restore")

GB = 1_000_000_000


def add_commands(parsers: Parsers) -> None:
    """Let the command line know these commands."""
    made = parsers.add_parser("backup", help="make one more backup in a folder, while the bot runs")
    made.add_argument("folder", type=Path, metavar="DIR", help="where the backups lie, each in a folder of its own")
    made.add_argument("--keep", type=_count, metavar="N", help="remove all but the newest N afterwards")
    made.add_argument("--verify", action="store_true", help="read the pictures of earlier backups again, too")
    back = parsers.add_parser("restore", help="bring a backup back, while no bot runs")
    back.add_argument("folder", type=Path, metavar="DIR", help="one backup, or a folder of them: then the newest")
    back.add_argument("--replace", action="store_true", help="set aside what lies in the data folder")


def do(asked: argparse.Namespace, data: Path) -> None:
    """Do what is asked for and print what came of it. Raises OperatorError."""
    began = time.monotonic()
    for line in _backup(asked, data) if asked.what == "backup" else _restore(asked, data):
        print(line)
    print(f"{time.monotonic() - began:.1f} s")


def _backup(asked: argparse.Namespace, data: Path) -> Iterator[str]:
    made = backup.make(data, asked.folder, verify=asked.verify, keep=asked.keep)
    yield f"backed up to {made.folder}: {_counted(made.manifest)}; {made.new_pictures} pictures are new"
    if made.removed:
        yield f"earlier backups removed: {made.removed}"
    yield from _missing(made.manifest)


def _restore(asked: argparse.Namespace, data: Path) -> Iterator[str]:
    chosen = shelves.newest(asked.folder)
    shelf = asked.folder if chosen != asked.folder else chosen.absolute().parent
    try:
        with shelves.in_use(shelf, making=False):
            brought = restore.bring_back(chosen, data, replace=asked.replace)
    except OSError as error:
        raise OperatorError(f"cannot read the backup {chosen}: {files.reason(error)}") from error
    yield f"{chosen} of {brought.manifest.made_at} is back in {data}: {_counted(brought.manifest)}"
    if brought.set_aside is not None:
        yield f"what was there lies in {brought.set_aside}: remove it when all is well"
    yield from _missing(brought.manifest)


def _counted(made: Manifest) -> str:
    size = made.picture_bytes + sum(kept.bytes for kept in made.files)
    return f"{made.jobs} jobs, {made.pictures} pictures, {size / GB:.3f} GB"


def _missing(made: Manifest) -> Iterator[str]:
    if made.gone:
        yield f"pictures that were gone, as by Delete meanwhile: {len(made.gone)} (the manifest names them)"
    if made.damaged:
        yield f"damaged pictures that were left out: {len(made.damaged)} (the manifest names them)"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of backups: 1 or more")
    return int(text)
