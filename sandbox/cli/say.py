"""`python -m sandbox say`: one command as a member, from a shell."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.cli.bot_process import BotEnded, BotProcess
from sandbox.client.member import File, Member, Refused, Reply, Unanswered, buttons_of, text_of
from sandbox.errors import MemberError, OperatorError
from sandbox.limits.commands import ATTACHMENT
from sandbox.member import commandbar
from sandbox.server import DEFAULT_PORT, Sandbox

Json = dict[str, Any]
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
FAILED, WRONG_USAGE = 1, 2


async def say(
    text: str,
    *,
    member: str,
    url: str | None,
    data: Path | None,
    out: Path | None,
    clicks: list[str],
    timeout_s: float,
    quiet_s: float,
) -> int:
    """Run a command, then press buttons; print and save the replies; return the exit status."""
    try:
        async with _place(url, data) as place, Member(place, member) as speaker:
            reply = await _run(speaker, text, timeout_s)
            reply = await _conclude(speaker, reply, out, timeout_s, quiet_s)
            for label in clicks:
                reply = await speaker.click(reply.messages[-1], label)
                reply = await _conclude(speaker, reply, out, timeout_s, quiet_s)
    except Unanswered as failure:
        print(failure, file=sys.stderr)
        return FAILED
    except (Refused, MemberError) as refusal:
        print(refusal, file=sys.stderr)
        return WRONG_USAGE
    except BotEnded as ended:
        if ended.status != WRONG_USAGE:  # else the bot has said why
            print(ended, file=sys.stderr)
        return ended.status if ended.status == WRONG_USAGE else FAILED
    return 0


@asynccontextmanager
async def _place(url: str | None, data: Path | None) -> AsyncIterator[str]:
    """Yield the address of a sandbox where the bot is online: the given one, the demo's, or one of our own."""
    if url is not None:
        if not await _bot_is_online(url):
            raise OperatorError(f"There is no sandbox with the bot online at {url}.")
        yield url
    elif data is None and await _bot_is_online(DEFAULT_URL):
        yield DEFAULT_URL
    else:
        with tempfile.TemporaryDirectory(prefix="easel-say-") as temporary:
            folder = data or Path(temporary)
            async with Sandbox(data=folder) as sandbox, BotProcess(sandbox, folder / "bot") as bot:
                await bot.until_ready()
                yield sandbox.url


async def _bot_is_online(url: str) -> bool:
    try:
        async with Member(url) as member:
            return bool((await member.state())["bot"]["online"])
    except (aiohttp.ClientError, Refused, ValueError, KeyError, OSError):
        return False


async def _run(speaker: Member, text: str, timeout_s: float) -> Reply:
    """Run the command; where an option takes a file, its value is a path."""
    commands = (await speaker.state())["commands"]
    invocation, values = commandbar.read(commands, text)
    offered = {option["name"]: option["type"] for option in invocation.options}
    paths = {name: Path(value) for name, value in values.items() if offered[name] == ATTACHMENT}
    if not paths:
        return await speaker.command(text, timeout_s=timeout_s)
    files: dict[str, File] = {}
    for name, path in paths.items():
        try:
            files[name] = (path.name, await asyncio.to_thread(path.read_bytes))
        except OSError as error:
            raise Refused(f"The file {path} can't be read ({error.strerror}).") from error
    options = {name: value for name, value in values.items() if name not in paths}
    return await speaker.command(invocation.name, options, files=files, timeout_s=timeout_s)


async def _conclude(speaker: Member, reply: Reply, out: Path | None, timeout_s: float, quiet_s: float) -> Reply:
    """Wait for the final answer, print it and save its files; raise Unanswered where there is none."""
    reply = await speaker.settled(reply, timeout_s=timeout_s, quiet_s=quiet_s)
    if reply.state == "failed":
        raise Unanswered(reply.failed_reason)
    if reply.modal is None and not reply.messages:
        raise Unanswered("The bot has withdrawn its answer.")
    if reply.modal is not None:
        print(f"A form opened: {reply.modal['title']}")
    for message in reply.messages:
        print(f"{message['author']['username']}: {text_of(message)}")
        labels = [button.get("label") or button.get("custom_id") for button in buttons_of(message)]
        if labels:
            print("  buttons: " + ", ".join(map(str, labels)))
        for name, content in await speaker.files(message):
            print(f"  file: {_saved(out, name, content) if out else name}")
    return reply


def _saved(folder: Path, name: str, content: bytes) -> Path:
    """Write a file under a name that is still free, and return its path."""
    path = folder / name
    number = 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while path.exists() and path.read_bytes() != content:
            number += 1
            path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
        path.write_bytes(content)
    except OSError as error:
        raise OperatorError(f"{path} can't be written ({error.strerror}); name another folder with --out.") from error
    return path
