"""The whole of Easel for the end-to-end tests: the sandbox in this process, the real bot and engine in theirs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from sandbox.client.member import Member
from sandbox.server import Sandbox
from tests import forkserver, openapi

ROOT = Path(__file__).parents[2]

BRIDGE = b"bot.engine.cluster.bridge"


class Studio:
    """A sandbox and a bot that can be stopped, killed and started again on the same data."""

    def __init__(self, sandbox: Sandbox, data: Path, *, cold: bool = False, **environ: str) -> None:
        """`environ` is what the bot is told besides. Where it starts `cold`, its engine reads its libraries itself and
        shares nothing with others, hashes of words and places in memory included."""
        self._python = (lambda: sys.executable) if cold else forkserver.python
        self.sandbox = sandbox
        self.data = data
        self._environ = environ
        self._bot: asyncio.subprocess.Process | None = None

    async def start(self, *, engine: bool = True) -> None:
        """Start the bot and wait until members can use its commands, and with the engine until what is asked runs."""
        environ = os.environ | {
            "DISCORD_TOKEN": self.sandbox.token,
            "DISCORD_API_BASE": f"{self.sandbox.url}/api/v10",
            "EASEL_DATA": str(self.data),
            "EASEL_DEVICE": "cpu",
            # Of many bots at a time one could be looked at.
            "EASEL_WATCH": "off",
            **self._environ,
        }
        self._bot = await asyncio.create_subprocess_exec(self._python(), "-m", "bot", cwd=ROOT, env=environ)
        ended = asyncio.create_task(self._bot.wait())
        online = asyncio.create_task(self.online(engine=engine))
        await asyncio.wait((ended, online), return_when=asyncio.FIRST_COMPLETED)
        assert not ended.done(), "the bot ended while it was starting"
        ended.cancel()

    async def online(self, *, engine: bool = True) -> None:
        """Wait until members can use the bot's commands, and with the engine until it is no more waited for."""
        while not await self._online() or (engine and await self.says()):
            await self.sandbox.state.hub.change(timeout_s=0.2)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the bot a signal and wait for its end; returns its exit status."""
        assert self._bot is not None
        self._bot.send_signal(number)
        status = await self._bot.wait()
        self._bot = None
        while await self._online():
            await self.sandbox.state.hub.change(timeout_s=0.2)
        return status

    async def ended(self) -> int:
        """Wait until the bot ends by itself; returns its exit status."""
        assert self._bot is not None
        return await self._bot.wait()

    def kill_engine(self) -> None:
        """Kill the inference process, as the system does when memory is out."""
        for child in self._children():
            os.kill(forkserver.engine_of(child), signal.SIGKILL)

    def engines(self) -> list[int]:
        """The inference processes, or what stands for them, in the order in which they were started."""
        commands = {child: Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in self._children()}
        found = sorted(child for child, command in commands.items() if {b"inference", BRIDGE} & set(command))
        return [forkserver.engine_of(child) for child in found]

    def processes(self) -> list[psutil.Process]:
        """The bot and all that it has started, and what these have."""
        assert self._bot is not None
        bot = psutil.Process(self._bot.pid)
        return [bot, *bot.children(recursive=True)]

    def _children(self) -> list[int]:
        assert self._bot is not None
        return [
            int(child) for child in Path(f"/proc/{self._bot.pid}/task/{self._bot.pid}/children").read_text().split()
        ]

    async def close(self) -> None:
        """Stop the bot if it still runs."""
        if self._bot is not None and self._bot.returncode is None:
            await self.stop()

    async def says(self) -> str:
        """What stands beside the bot's name."""
        async with Member(self.sandbox.url, "Ada") as ada:
            return str((await ada.state())["bot"]["says"])

    async def problems(self) -> list[str]:
        """Where the bot's requests or the sandbox's answers so far break Discord's own description."""
        async with Member(self.sandbox.url, "Ada") as ada:
            return openapi.problems(await ada.log())

    async def _online(self) -> bool:
        async with Member(self.sandbox.url, "Ada") as ada:
            state = await ada.state()
        return bool(state["bot"]["online"] and state["commands"])


@asynccontextmanager
async def running(data: Path, *, cold: bool = False, **environ: str) -> AsyncIterator[Studio]:
    """A bot with this data folder and these settings, against a sandbox of its own; `cold` as for Studio."""
    async with Sandbox() as sandbox:
        opened = Studio(sandbox, data, cold=cold, **environ)
        try:
            await opened.start()
            yield opened
        finally:
            await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    async with running(tmp_path_factory.mktemp("data")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def ada(studio: Studio) -> AsyncIterator[Member]:
    async with Member(studio.sandbox.url, "Ada") as member:
        yield member


@pytest_asyncio.fixture(loop_scope="module")
async def grace(studio: Studio) -> AsyncIterator[Member]:
    async with Member(studio.sandbox.url, "Grace") as member:
        yield member


@pytest_asyncio.fixture(loop_scope="module")
async def linus(studio: Studio) -> AsyncIterator[Member]:
    async with Member(studio.sandbox.url, "Linus") as member:
        yield member
