"""Whether the bot is well: each thing that can be wrong is a line and status 503, and no more than that."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest

from bot.database import Database
from bot.engine.interface import Condition
from bot.jobs import Jobs
from bot.watch import health, watching
from bot.watch.disk import Disk, Space
from bot.watch.health import Health
from bot.watch.metrics import Metrics
from bot.watch.standings import Standings
from bot.watch.watching import Watching
from tests.bot import test_dispatcher
from tests.bot.conftest import queued, reply, request
from tests.bot.test_dispatcher import ScriptedEngine, Studio, paint
from tests.bot.test_watching import served

_no_waiting = test_dispatcher._no_waiting

WELL = Condition(
    name="engine 1 (cpu)",
    pid=1,
    device="CPU",
    away_s=None,
    silent_s=0.0,
    patience_s=300.0,
    starts=1,
    work_s=0.0,
    holding=None,
)


class Bot:
    """A bot's parts, of which a test breaks one."""

    def __init__(self, jobs: Jobs, database: Database, data: Path) -> None:
        self.client = SimpleNamespace(is_online=True, guilds=[5, 6], latency=float("nan"))
        engine: Any = ScriptedEngine(paint, data)
        self.studio = Studio(jobs, engine)
        self.dispatcher = self.studio.dispatcher
        self.disk = Disk(data, Mock(), Mock())
        self.space = Space(free=10**10, needed=2 * 10**9, pictures=0, count=0, database=0, backed_up_at=None)
        self.disk.space = self.space
        self.engine: Any = SimpleNamespace(conditions=[WELL])
        client: Any = self.client
        self.health = Health(client, self.dispatcher, self.engine, database, self.disk)
        metrics = Metrics({"imagine": "imagine"}, ())
        delivery: Any = SimpleNamespace(under_way=0)
        standings = Standings(client, self.dispatcher, delivery, self.engine, self.disk, metrics, max_waiting=200)
        self.watching = Watching(metrics, standings, self.health, self.disk)

    async def wrong(self) -> list[str]:
        """What is not well."""
        return [f"{finding.what}: {finding.said}" for finding in await self.health.findings() if not finding.well]

    @asynccontextmanager
    async def looked_at(self) -> AsyncIterator[Callable[[str], Any]]:
        async with served(*self.watching.routes()) as address, aiohttp.ClientSession() as session:

            async def get(path: str) -> tuple[int, str]:
                async with session.get(f"http://{address}{path}") as got:
                    return got.status, await got.text()

            yield get


@pytest.fixture
def bot(jobs: Jobs, database: Database, tmp_path: Path) -> Bot:
    return Bot(jobs, database, tmp_path)


async def test_well_bot_says_so_and_one_that_is_not_says_what(bot: Bot) -> None:
    async with bot.looked_at() as get:
        status, text = await get("/healthz")
        assert status == 200
        assert [line.split()[:2] for line in text.splitlines()] == [
            ["ok", f"{what}:"] for what in ("discord", "engine", "queue", "database", "disk")
        ]
        bot.client.is_online = False
        bot.disk.space = replace(bot.space, free=10**9)
        status, text = await get("/healthz")
    assert status == 503
    assert [line for line in text.splitlines() if line.startswith("WRONG")] == [
        "WRONG  discord: not connected: the log says why",
        next(line for line in text.splitlines() if "1.0 GB are free" in line),
    ]


@pytest.mark.parametrize(
    ("conditions", "wrong"),
    [
        ([replace(WELL, away_s=3.0)], None),
        ([replace(WELL, away_s=health.AWAY_S + 1)], "engine: away: engine 1 (cpu) for 61 s"),
        (
            [
                replace(
                    WELL, away_s=100.0, why="it hung up (exit status -9: ended by the system, whose memory was full)"
                )
            ],
            "engine: away: engine 1 (cpu) for 100 s (it hung up (exit status -9: ended by the system, whose memory",
        ),
        ([replace(WELL, device="", away_s=health.AWAY_S + 1)], None),
        ([replace(WELL, device="", away_s=health.FIRST_START_S + 1)], "engine: away: engine 1 (cpu) for 301 s"),
        ([replace(WELL, away_s=1000.0), WELL], None),
        ([], "engine: away: there is none"),
        ([replace(WELL, silent_s=149.0)], None),
        ([replace(WELL, silent_s=151.0)], "queue: engine 1 (cpu) has work and gives no sign of life for 151 s"),
        ([replace(WELL, silent_s=151.0, patience_s=1800.0)], None),
    ],
)
async def test_engine_may_start_and_load_but_not_stay_away_or_silent(
    bot: Bot, conditions: list[Condition], wrong: str | None
) -> None:
    bot.engine.conditions = conditions
    found = await bot.wrong()
    assert len(found) == (wrong is not None)
    assert not wrong or found[0].startswith(wrong)


async def test_queue_is_stuck_where_nothing_runs_although_an_engine_could(
    bot: Bot, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "A_MOMENT_S", 0.05)
    job = await queued(jobs, request(), reply())
    old = replace(job, created_at=time.time() - health.STUCK_S - 1)
    bot.dispatcher.put(old)
    assert [line.partition(",")[0] for line in await bot.wrong()] == ["queue: 1 jobs wait and none runs"]
    bot.engine.conditions = [replace(WELL, away_s=5.0)]
    assert await bot.wrong() == []
    bot.engine.conditions = [WELL]
    # Between two passes nothing runs for a moment.
    monkeypatch.setattr(health, "A_MOMENT_S", 0.3)
    asyncio.get_running_loop().call_later(0.05, bot.dispatcher.lines[0].take_out, old.id)
    assert await bot.wrong() == []
    # Who has come just now is not stuck.
    bot.dispatcher.put(replace(old, created_at=time.time()))
    assert await bot.wrong() == []


async def test_database_that_cannot_be_written_is_found_out(
    bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LOOK_EVERY_S", -1.0)
    assert await bot.wrong() == []
    with closing(sqlite3.connect(tmp_path / "easel.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await bot.wrong() == ["database: it cannot be written: database is locked"]
        other.execute("ROLLBACK")
    assert await bot.wrong() == []
    # The lock is had, and what is written is refused all the same.
    connection = bot.health._database._connection
    await connection.set_authorizer(
        lambda _, what, *__: sqlite3.SQLITE_DENY if what == "user_version" else sqlite3.SQLITE_OK
    )
    assert await bot.wrong() == ["database: it cannot be written: not authorized"]
    await connection.set_authorizer(None)
    monkeypatch.setattr(health, "WRITTEN_WITHIN_S", 0.05)
    async with bot.health._database.transaction():
        assert await bot.wrong() == ["database: nothing could be written within 0.05 s"]
    assert await bot.wrong() == []


async def test_database_is_written_no_more_often_than_it_must(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    write = bot.health._write

    async def count() -> Any:
        nonlocal written
        written += 1
        return await write()

    monkeypatch.setattr(bot.health, "_write", count)
    async with bot.looked_at() as get:
        answers = await asyncio.gather(*(get("/healthz") for _ in range(20)))
    assert {status for status, _ in answers} == {200}
    assert written == 1


async def test_metrics_say_how_things_stand(bot: Bot, jobs: Jobs) -> None:
    job = await queued(jobs, request(), reply())
    bot.dispatcher.put(replace(job, created_at=time.time() - 30))
    async with bot.looked_at() as get:
        status, text = await get("/metrics")
        lines = text.splitlines()
        assert status == 200
        assert 'easel_queue_jobs{line="slow"} 1.0' in lines
        [age] = [line for line in lines if line.startswith('easel_queue_oldest_seconds{line="slow"}')]
        assert 30 <= float(age.split()[1]) < 90
        assert 'easel_engine_up{engine="engine 1 (cpu)"} 1.0' in lines
        assert "easel_discord_connected 1.0" in lines
        bot.engine.conditions = []
        bot.disk.space = None
        _, text = await get("/metrics")
        assert "easel_engine_up{" not in text
        assert "easel_disk_free_bytes" not in text


async def test_lag_of_the_event_loop_is_sampled(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SAMPLE_EVERY_S", 0.01)
    sampling = asyncio.create_task(bot.watching._sample())
    await asyncio.sleep(0.05)
    time.sleep(0.2)  # noqa: ASYNC251 — that is what it is to notice
    await asyncio.sleep(0.05)
    sampling.cancel()
    value = bot.watching._metrics.registry.get_sample_value
    slow = value("easel_event_loop_lag_seconds_count", {}), value("easel_event_loop_lag_seconds_bucket", {"le": "0.1"})
    assert slow[0] is not None
    assert slow[1] is not None
    assert slow[0] - slow[1] >= 1
