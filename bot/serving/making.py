"""`python -m bot key`: a key that the operator makes, for a member in a channel of a server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bot import folder, keys
from bot.errors import OperatorError

COMMAND = "key"

MAX_ID = 2**63


def add_command(others: Any) -> None:
    """Add it to those of `python -m bot`."""
    parser: argparse.ArgumentParser = others.add_parser(COMMAND, help="make a key for a program, and print it once")
    for name, said in (
        ("member", "the id of the Discord member as whom it asks"),
        ("server", "the id of the server that they are in"),
        ("channel", "the id of the channel whose settings hold for it"),
    ):
        parser.add_argument(f"--{name}", type=int, required=True, metavar="ID", help=said)
    parser.add_argument("--name", default="operator", help="what it is for, as its member sees it in /key")


def do(asked: argparse.Namespace, data: Path) -> None:
    """Make the key, and print what it is. Raises OperatorError."""
    for name in ("member", "server", "channel"):
        if not 0 < getattr(asked, name) < MAX_ID:
            raise OperatorError(f"--{name} {getattr(asked, name)} is no id of Discord's")
    if not asked.name.strip():
        raise OperatorError("--name is empty: say what the key is for")
    print(keys.make_beside(data / folder.DATABASE, asked.member, asked.server, asked.channel, asked.name))
