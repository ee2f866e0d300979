"""Work that nobody waits for: kept until it ends, and heard of where it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NoReturn

from bot.errors import OperatorError

log = logging.getLogger(__name__)


class Background:
    """Tasks of the bot's own. An OperatorError of one of them ends the bot, every other error is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._broken: OperatorError | None = None
        self._breaking = asyncio.Event()

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin with this work; returns at once."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def break_with(self, error: OperatorError) -> None:
        """The bot cannot go on, for this reason."""
        self._broken = self._broken or error
        self._breaking.set()

    async def broken(self) -> NoReturn:
        """Wait until the bot cannot go on, and raise why."""
        await self._breaking.wait()
        assert self._broken is not None
        raise self._broken

    async def close(self, within_s: float = 0) -> None:
        """Let the tasks end by themselves for so long, then end them."""
        tasks = list(self._tasks)
        if tasks and within_s:
            await asyncio.wait(tasks, timeout=within_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, OperatorError):
            self.break_with(error)
        else:
            log.error("something in the background failed", exc_info=error)
