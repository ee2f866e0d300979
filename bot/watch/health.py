"""Whether the bot is well, for what starts it again or calls somebody: one line for each thing that can be wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from bot.app import Easel
from bot.database import UNWRITTEN, Database
from bot.dispatcher import Dispatcher
from bot.doctor import Finding
from bot.engine.interface import Condition, Engine
from bot.watch.disk import Disk

FIRST_START_S = 300.0
"""So long an engine may take until it is ready for the first time."""

AWAY_S = 60.0
"""So long it may be away later; one that dies is started again at once."""

SILENT_SHARE = 0.5
"""Of the time after which a silent engine is ended: then it is told."""

STUCK_S = 60.0
"""A job that has waited so long while nothing runs is stuck."""

A_MOMENT_S = 0.5
"""Between two passes nothing runs for less than this."""

WRITTEN_WITHIN_S = 5.0
LOOK_EVERY_S = 5.0
"""However often somebody asks, the database is written no more often than that."""

WRITE = "PRAGMA user_version = 1"
"""What every start writes: it changes nothing, and needs what any other write needs."""


class Health:
    """Looks at everything that has to work."""

    def __init__(
        self,
        client: Easel,
        dispatcher: Dispatcher,
        engine: Engine,
        database: Database,
        disk: Disk,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._dispatcher = dispatcher
        self._engine = engine
        self._database = database
        self._disk = disk
        self._clock = clock
        self._writing = asyncio.Lock()
        self._written: tuple[float, Finding] | None = None

    async def findings(self) -> Sequence[Finding]:
        """How each thing is now."""
        return [
            self._discord(),
            self._engines(),
            await self._queue(),
            await self._can_write(),
            self._disk.finding(),
        ]

    def _discord(self) -> Finding:
        if self._client.is_online:
            return Finding("discord", True, f"connected; servers: {len(self._client.guilds)}")
        return Finding("discord", False, "not connected: the log says why")

    def _engines(self) -> Finding:
        """Well where one of them works, or may still come."""
        conditions = self._engine.conditions
        if up := [one for one in conditions if one.is_up]:
            return Finding("engine", True, f"{len(up)} of {len(conditions)} ready")
        coming = [one for one in conditions if (one.away_s or 0.0) < (AWAY_S if one.device else FIRST_START_S)]
        if coming:
            return Finding("engine", True, f"starting: {', '.join(one.name for one in coming)}")
        away = ", ".join(_away(one) for one in conditions) or "there is none"
        return Finding("engine", False, f"away: {away}; the log says more")

    async def _queue(self) -> Finding:
        for one in self._engine.conditions:
            if one.silent_s > one.patience_s * SILENT_SHARE:
                said = f"{one.name} has work and gives no sign of life for {one.silent_s:.0f} s"
                return Finding("queue", False, f"{said}; after {one.patience_s:.0f} s it is started again")
        if self._is_stuck():
            await asyncio.sleep(A_MOMENT_S)
        waiting, running = self._dispatcher.waiting(), sum(len(line.running) for line in self._dispatcher.lines)
        if self._is_stuck():
            return Finding(
                "queue", False, f"{waiting} jobs wait and none runs, though an engine is ready: look at the log"
            )
        return Finding("queue", True, f"waiting: {waiting}, running: {running}")

    def _is_stuck(self) -> bool:
        """Whether jobs of a line wait of which none runs, while an engine could."""
        return any(one.is_up for one in self._engine.conditions) and any(
            not line.running and line.queue.oldest and self._clock() - line.queue.oldest.created_at > STUCK_S
            for line in self._dispatcher.lines
        )

    async def _can_write(self) -> Finding:
        # Of several who ask at once one writes.
        async with self._writing:
            if self._written is None or self._clock() - self._written[0] > LOOK_EVERY_S:
                self._written = self._clock(), await self._write()
            return self._written[1]

    async def _write(self) -> Finding:
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_S), self._database.transaction() as connection:
                await connection.execute(WRITE)
        except TimeoutError:
            return Finding("database", False, f"nothing could be written within {WRITTEN_WITHIN_S:g} s")
        except UNWRITTEN as error:
            return Finding("database", False, f"it cannot be written: {error}")
        return Finding("database", True, "it can be written")


def _away(one: Condition) -> str:
    """For how long an engine is away, and how it died."""
    return f"{one.name} for {one.away_s or 0.0:.0f} s{f' ({one.why})' if one.why else ''}"
