"""The command line: `python -m sandbox serve | demo | say`. Exit status 2 is the operator's to mend, in one line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from sandbox.cli.demo import OPERATOR_ERROR, demo, serve
from sandbox.cli.say import say
from sandbox.community.beginning import MOST_MEMBERS
from sandbox.errors import OperatorError
from sandbox.server import DEFAULT_PORT, DEFAULT_TOKEN, Sandbox


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Discord on this machine.")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, summary, data in (
        ("serve", "the sandbox alone", None),
        ("demo", "the sandbox with the bot", Path("data/demo")),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        action.add_argument("--port", type=_port, default=DEFAULT_PORT, help="port (%(default)s; 0: a free one)")
        action.add_argument("--data", type=Path, default=data, help="folder that outlives the process (%(default)s)")
        action.add_argument("--members", type=_count, default=0, help="so many more members: member-1, member-2…")
        intents = "let the bot ask for privileged intents: members, presences, message content"
        action.add_argument("--privileged-intents", action="store_true", help=intents)
        action.add_argument("--token", default=DEFAULT_TOKEN, help="the bot's token")
    action = actions.add_parser("say", help="one command as a member")
    action.add_argument("text", help="the command as typed: '/imagine prompt:a red house seed:7'")
    action.add_argument("--out", type=Path, help="folder for the pictures")
    action.add_argument("--member", default="Ada", help="who speaks (%(default)s)")
    action.add_argument("--url", help="a running sandbox; without, the demo or one of its own")
    action.add_argument("--data", type=Path, help="folder for a sandbox of its own")
    action.add_argument("--click", action="append", default=[], help="then press this button; may be repeated")
    action.add_argument("--timeout", type=float, default=300.0, help="seconds to wait for each answer (%(default)s)")
    action.add_argument("--quiet", type=float, default=15.0, help="see docs/sandbox.md, Say (%(default)s)")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MOST_MEMBERS:
        raise argparse.ArgumentTypeError(f"there can be 0 to {MOST_MEMBERS} more members")
    return number


async def _run(arguments: argparse.Namespace) -> int:
    if arguments.action == "say":
        return await say(
            arguments.text,
            member=arguments.member,
            url=arguments.url,
            data=arguments.data,
            out=arguments.out,
            clicks=arguments.click,
            timeout_s=arguments.timeout,
            quiet_s=arguments.quiet,
        )
    sandbox = Sandbox(
        host=arguments.host,
        port=arguments.port,
        data=arguments.data,
        token=arguments.token,
        members=arguments.members,
        privileged_intents=arguments.privileged_intents,
    )
    return await (demo(sandbox, arguments.data) if arguments.action == "demo" else serve(sandbox))


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return asyncio.run(_run(arguments))
    except OperatorError as error:
        print(error, file=sys.stderr)
        return OPERATOR_ERROR
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
