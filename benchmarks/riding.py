"""`python -m benchmarks.riding`: what it is worth to let jobs join a pass late. Virtual time; no network paints here.

Before the pass begins, while its model is loaded, which Easel does; and between its steps, which it does not.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.fleet import virtual
from benchmarks.fleet.simulation import Asked, Demand, Engine, Fleet, Kind, demand, percentiles
from bot.queue import Queue

PLACES = 4
SEED = 1


@dataclass
class Seen:
    """What came of one run."""

    waits_s: list[float] = field(default_factory=list)
    """From the asking until the pass begins."""
    passes: int = 0
    joined: int = 0
    """How many jobs came to their pass while its model was loaded."""


async def worked_off(asked: Sequence[Asked], fleet: Fleet, *, late: bool) -> Seen:
    """One engine before the real queue; `late` where jobs may join while a model is loaded. For `virtual.run`."""
    loop = asyncio.get_running_loop()
    queue, engine, seen = Queue(clock=lambda: loop.time() + 1.0), Engine(fleet), Seen()
    took_s = {one.job.id: one.seconds for one in asked}

    async def arrive() -> None:
        for one in asked:
            # What is asked for at once is there before anybody has a turn.
            if (early_s := one.at_s - loop.time()) > 0:
                await asyncio.sleep(early_s)
            queue.put(one.job)

    arriving = asyncio.create_task(arrive())
    while len(seen.waits_s) < len(asked):
        batch = [*await queue.next_batch(engine)]
        ready_s = loop.time() + engine.loading_s(batch[0].request.model)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ready_s):
                while late and (room := fleet.batch - len(batch)):
                    riders = await queue.next_riders(batch[0], room)
                    seen.joined += len(riders)
                    batch += riders
        await asyncio.sleep(max(ready_s - loop.time(), 0.0))
        seen.passes += 1
        seen.waits_s += [loop.time() - job.created_at for job in batch]
        await asyncio.sleep(max(took_s[job.id] for job in batch))
    await arriving
    return seen


def between_steps(jobs_per_pass: float, steps: int, *, each: bool, jobs: int = 20_000) -> float:
    """Passes from a job's asking to its picture, on average, where so many come in the time of a pass; `each` where
    places that are free are taken between any two steps, else when all of a pass are."""
    chance = random.Random(SEED)

    def arrivals() -> Iterator[float]:
        at = 0.0
        while True:
            yield (at := at + chance.expovariate(jobs_per_pass))

    coming = arrivals()
    waiting, running, took = [next(coming)], list[tuple[float, int]](), list[float]()
    now = 0.0
    while len(took) < jobs:
        now = now if running else max(now, waiting[0])
        while waiting[-1] <= now:
            waiting.append(next(coming))
        if each or not running:
            while len(running) < PLACES and waiting[0] <= now:
                running.append((waiting.pop(0), steps))
        now += 1 / steps
        took += [now - asked for asked, left in running if left == 1]
        running = [(asked, left - 1) for asked, left in running if left > 1]
    return statistics.mean(took)


def main() -> None:
    """Print both."""
    fleet = Fleet(engines=1, load_s=12.0, batch=PLACES)
    print(f"one engine that holds one of two models, {fleet.load_s:.0f} s to load one, {PLACES} places, 4 s a pass:")
    for per_hour in (60, 120, 240, 480, 960):
        kinds = (Kind("sd15", 0.5, (4.0,)), Kind("sdxl", 0.5, (4.0,)))
        asked = demand(Demand(kinds=kinds, members=200, jobs_per_hour=per_hour, hours=12), SEED)
        for late in (False, True):
            seen = virtual.run(worked_off(asked, fleet, late=late))
            p50, p99 = percentiles(seen.waits_s, 0.5, 0.99)
            print(
                f"  {per_hour:4} jobs an hour, {'joined late' if late else 'as taken   '}: n {len(seen.waits_s)}"
                f"  {seen.joined / len(asked):4.0%} joined  {seen.passes / len(asked):.2f} passes a job"
                f"  waits p50 {p50:.1f} s  p99 {p99:.1f} s"
            )
    print(f"4 steps, {PLACES} places, time from asking to the picture in passes (n 20000):")
    for load in (0.1, 0.3, 0.6, 0.9):
        whole, each = (between_steps(load * PLACES, 4, each=each) for each in (False, True))
        print(f"  {load:.0%} of the places taken: {whole:.2f} by passes, {each:.2f} by steps ({each / whole:.2f})")


if __name__ == "__main__":
    main()
