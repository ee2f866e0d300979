"""The bot and the engine killed while the real engine paints with the starter models."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

from benchmarks.faults.crowd import Crowd, an_evening
from benchmarks.faults.judge import Verdict, judge
from benchmarks.faults.trial import Trial, until
from benchmarks.faults.victim import Kill

QUIET_WITHIN_S = 600.0
RUNNING = "SELECT id FROM job WHERE state = 'running'"


async def bot_killed(seed: int, kills: Sequence[Kill]) -> Verdict:
    """The bot dies at these stages, one after the other."""
    async with Trial(easel_threads=1) as trial:
        orders: list[dict[str, Any]] = [{"kill": kill, "engines": None} for kill in (*kills, None)]
        living = asyncio.create_task(trial.live(orders))
        while not living.done():
            await an_evening(trial, Crowd(trial, seed), many=2)
            await asyncio.sleep(0.5)
        await living
        await trial.quiet(QUIET_WITHIN_S)
        return judge(trial)


async def engine_killed(seed: int, times: int) -> Verdict:
    """The engine dies while it paints, so many times, a while after each start."""
    async with Trial(easel_threads=1) as trial:
        await trial.start(engines=None)
        crowd = Crowd(trial, seed)
        evening = asyncio.create_task(an_evening(trial, crowd, many=4))
        for _ in range(times):
            await until(lambda: trial.rows(RUNNING), every_s=0.1)
            await asyncio.sleep(crowd.rng.random() * 2)
            # What it kills twice is set aside, as it should be.
            trial.may_fail.update(job for (job,) in trial.rows(RUNNING))
            for pid in trial.engine_pids():
                os.kill(pid, signal.SIGKILL)
                trial.kills += 1
            await asyncio.sleep(10.0)
        await evening
        await trial.quiet(QUIET_WITHIN_S)
        return judge(trial)
