"""What there is to look at, put together: the pages for machines, and what looks on by itself."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from bot.watch.disk import Disk
from bot.watch.health import Health
from bot.watch.metrics import Metrics
from bot.watch.standings import Standings

SAMPLE_EVERY_S = 0.25
"""So often is it measured how late the event loop is."""


class Watching:
    """Looks on for as long as `keep` runs; `routes` is what it shows."""

    def __init__(self, metrics: Metrics, standings: Standings, health: Health, disk: Disk) -> None:
        self._metrics = metrics
        self._standings = standings
        self._health = health
        self._disk = disk
        metrics.registry.register(standings)

    def routes(self) -> list[web.RouteDef]:
        """What is shown, for `server.serving`."""
        return [web.get("/metrics", self._show_metrics), web.get("/healthz", self._show_health)]

    async def keep(self) -> NoReturn:
        """Look after the disk, and at how late the event loop is."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._disk.keep())
            tasks.create_task(self._sample())
        raise AssertionError("neither ends")

    async def _sample(self) -> NoReturn:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + SAMPLE_EVERY_S
            await asyncio.sleep(SAMPLE_EVERY_S)
            self._metrics.lagged(clock() - due)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        await self._standings.look()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        # Some milliseconds, which the event loop need not wait for.
        body = await asyncio.to_thread(encode, self._metrics)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _show_health(self, _: web.Request) -> web.Response:
        findings = await self._health.findings()
        lines = "".join(f"{finding}\n" for finding in findings)
        return web.Response(text=lines, status=200 if all(finding.well for finding in findings) else 503)
