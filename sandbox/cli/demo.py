"""`python -m sandbox demo` and `serve`: the sandbox in this process, and for the demo the bot as a child."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import webbrowser
from collections.abc import Awaitable
from pathlib import Path

from sandbox.cli.bot_process import BotEnded, BotProcess
from sandbox.server import Sandbox

OPERATOR_ERROR = 2


async def serve(sandbox: Sandbox) -> int:
    """Serve `sandbox` until SIGINT or SIGTERM; return the exit status."""
    stopping = _stop_signal()
    async with sandbox:
        print(f"The sandbox is ready: {sandbox.url}", flush=True)
        await stopping.wait()
    return 0


async def demo(sandbox: Sandbox, data: Path) -> int:
    """Serve `sandbox` and run the bot on `data` until SIGINT, SIGTERM or the bot's end; return the exit status."""
    stopping = _stop_signal()
    async with sandbox, BotProcess(sandbox, data / "bot") as bot:
        try:
            if not await _unless(stopping, bot.until_ready()):
                return 0
            print(f"Easel is ready: {sandbox.url}", flush=True)
            if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
                await asyncio.to_thread(webbrowser.open, sandbox.url)
            if await _unless(stopping, bot.until_ended()):
                raise BotEnded(await bot.until_ended())
        except BotEnded as ended:
            if ended.status == OPERATOR_ERROR:  # the bot has said why
                return OPERATOR_ERROR
            print(ended, file=sys.stderr)
            return 1
    return 0


def _stop_signal() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set, instead of ending the process at once."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _unless(stopping: asyncio.Event, work: Awaitable[object]) -> bool:
    """Wait for `work`, and say True when it is done; say False, and leave it, if `stopping` is set before."""
    working = asyncio.ensure_future(work)
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        return False
    await working  # raises what it raised
    return True
