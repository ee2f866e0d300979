"""The bot as a child process of the demo, pointed at the sandbox. Here is no knowledge of what the bot does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.community.beginning import GUILD_ID
from sandbox.platform.commands import GLOBAL
from sandbox.server import Sandbox
from sandbox.state import State

STOP_WITHIN_S = 20.0
_STANDARD_ERROR = 2


class BotEnded(Exception):
    """The bot's process has ended by itself."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The bot ended with status {status}.")
        self.status = status


class BotProcess:
    """`python -m bot` while the `async with` block lasts. What it prints goes to standard error."""

    def __init__(self, sandbox: Sandbox, data: Path, command: tuple[str, ...] = ("-m", "bot")) -> None:
        self._sandbox = sandbox
        self._data = data
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        environment = os.environ | {
            "DISCORD_API_BASE": self._sandbox.api_url,
            "DISCORD_TOKEN": self._sandbox.token,
            "EASEL_DATA": str(self._data.absolute()),
        }
        # In a session of its own, so that Ctrl-C reaches us alone and we end it in our order.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=_STANDARD_ERROR,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        # Whatever it started and left behind goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def until_ready(self) -> None:
        """Return once the bot is online, its commands are registered and it does not say beside its name what it waits
        for; raise BotEnded if it ends before."""
        ended = asyncio.create_task(self.until_ended())
        state = self._sandbox.state
        try:
            while not self._is_ready(state):
                if ended.done():
                    raise BotEnded(ended.result())
                await state.hub.change(timeout_s=0.2)
        finally:
            ended.cancel()

    def _is_ready(self, state: State) -> bool:
        registered = state.commands.listed(GLOBAL) or state.commands.listed(GUILD_ID)
        return bool(state.gateway.online and registered and not state.gateway.says)

    async def until_ended(self) -> int:
        """Return the bot's exit status once it has ended by itself."""
        assert self._process is not None
        return await self._process.wait()
