"""From a kill -9 of the engine until it is ready again, beside its cold start; the bot's own watch starts it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import statistics
import time
from pathlib import Path

from benchmarks.beside import Row
from benchmarks.engines import local_engine


async def measure(times: int) -> list[Row]:
    """Start, kill, and wait until it is up again, so often. The processor's time is that of the engine's processes."""
    cold, again = [], []
    for _ in range(times):
        began_s, before_s = time.perf_counter(), reaped_s()
        async with local_engine() as (engine, _):
            cold_s = time.perf_counter() - began_s
            keeping = asyncio.create_task(engine.keep())
            began_s = time.perf_counter()
            os.kill(started(), signal.SIGKILL)
            await engine.ended()
            killed_s = reaped_s()
            await engine.up()
            again_s = time.perf_counter() - began_s
            keeping.cancel()
            # As early as the first, so that both have worked for the same.
            os.kill(started(), signal.SIGKILL)
            await engine.ended()
        cold.append((killed_s - before_s, cold_s))
        again.append((reaped_s() - killed_s, again_s))
    walls = [mine[1] / theirs[1] for mine, theirs in zip(again, cold, strict=True)]
    return [
        Row(
            name="the engine is ready again after kill -9, beside its cold start",
            goal=1.2,
            n=times,
            unit="s",
            ours=statistics.median(wall for _, wall in again),
            baseline=statistics.median(wall for _, wall in cold),
            ratio=statistics.median(walls),
            wall_ratio=statistics.median(walls),
            note=f"by the clock; the processor worked {statistics.median(cpu for cpu, _ in again):.1f} s and"
            f" {statistics.median(cpu for cpu, _ in cold):.1f} s",
        )
    ]


def reaped_s() -> float:
    """What the processor has done for children of this process that are gone."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def started() -> int:
    """The engine that this process has started: the one child with that name."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    [found] = [int(each) for each in children if b"\0inference\0" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return found
