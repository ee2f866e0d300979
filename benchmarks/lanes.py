"""`python -m benchmarks.lanes`: what several engines get done in the time of one, for work that shares no core.

Each engine has one thread of the processor. The machine needs as many idle cores as engines, and one for the rest.
`measure` does without: its engines sleep where others compute, as a processor does while a card works.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.beside import Row, counted
from benchmarks.faults.painter import Plan
from benchmarks.timings import table, timing, write
from bot.engine.cluster.engine import ClusterEngine
from bot.engine.interface import Engine, Lane
from bot.engine.local import LocalEngine
from bot.engine.process import InferenceProcess
from inference.protocol import INCOMING, PICTURES, Failed, Imagine, Ready

SILENCE_S = 300.0

ASLEEP = Plan(step_s=0.02, steps=10, batch=1)
"""An engine that works like a card: the processor waits."""


class SleepingEngine(LocalEngine):
    """Engines of this machine that sleep instead of computing."""

    def _process(self, device: str) -> InferenceProcess:
        program = ("benchmarks.faults.painter", "--plan", msgspec.json.encode(ASLEEP).decode())
        process = InferenceProcess(
            self._environ,
            self._data,
            self._silence_s,
            name=f"sleeping engine {len(self.lanes) // 2 + 1}",
            program=program,
        )
        self.add(process)
        return process


async def measure(times: int, engines: int = 4, jobs: int = 4) -> list[Row]:
    """So many jobs on each of these engines beside as many on one of them, by the clock."""
    with TemporaryDirectory() as folder:
        for name in (PICTURES, INCOMING):
            (Path(folder) / name).mkdir()
        engine = SleepingEngine(os.environ, Path(folder), SILENCE_S, ["cpu"] * engines)
        await engine.start()
        try:
            lanes = [lane for lane in engine.lanes if not lane.quick]
            one_s, all_s = await _pairs(lanes, engine.ready, jobs, times)
        finally:
            await engine.close()
    ratios = [every / one for one, every in zip(one_s, all_s, strict=True)]
    return [
        counted(
            f"{engines * jobs} jobs on {engines} engines, beside {jobs} on one",
            1 / 0.9,
            "s",
            statistics.median(all_s),
            statistics.median(one_s),
            times,
            f"they sleep where a card would compute; {len(lanes) / statistics.median(ratios):.2f} times as much",
        )
    ]


async def _pairs(lanes: Sequence[Lane], ready: Ready, jobs: int, times: int) -> tuple[list[float], list[float]]:
    """Seconds for so many jobs on the first lane, and on each of all, measured in turn after a warm-up."""
    one_s, all_s = [], []
    for _ in range(times + 1):
        one_s.append(await _time_s(lanes[:1], ready, jobs))
        all_s.append(await _time_s(lanes, ready, jobs))
    return one_s[1:], all_s[1:]


async def main(arguments: Sequence[str]) -> None:
    """Measure one engine and several, in turn, and print how they compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lanes", description=__doc__.partition("\n")[0])
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=8, help="of each engine, each time (8)")
    parser.add_argument("--pairs", type=int, default=10, help="how often (10)")
    parser.add_argument("--cluster", help="the address of a Ray cluster with so many nodes, instead of this machine")
    asked = parser.parse_args(arguments)
    environ = os.environ | {"EASEL_DEVICE": "cpu", "EASEL_THREADS": "1"}
    with TemporaryDirectory() as folder:
        for name in (PICTURES, INCOMING):
            (Path(folder) / name).mkdir()
        engine: Engine
        if asked.cluster is None:
            engine = LocalEngine(environ, Path(folder), SILENCE_S, ["cpu"] * asked.engines)
        else:
            engine = ClusterEngine(environ, Path(folder), SILENCE_S, address=asked.cluster, device="cpu")
        await engine.start()
        keeping = asyncio.create_task(engine.keep())
        try:
            lanes = [lane for lane in engine.lanes if not lane.quick][: asked.engines]
            for lane in lanes:
                await lane.up()
            one_s, all_s = await _pairs(lanes, engine.ready, asked.jobs, asked.pairs)
        finally:
            keeping.cancel()
            await engine.close()
    gains = [len(lanes) * one / every for one, every in zip(one_s, all_s, strict=True)]
    figures = [
        timing(f"{asked.jobs} jobs on one engine", one_s),
        timing(f"{asked.jobs} jobs on each of {len(lanes)}", all_s),
        timing(f"throughput of {len(lanes)} over that of one", gains, "ratio"),
    ]
    print(table(figures))
    print(f"{statistics.median(gains) / len(lanes):.2f} of {len(lanes)} times")
    write(Path("build/lanes.json"), figures, {"engines": len(lanes), "jobs": asked.jobs, "cluster": asked.cluster})


async def _time_s(lanes: Sequence[Lane], ready: Ready, jobs: int) -> float:
    began_s = time.perf_counter()
    await asyncio.gather(*(_work(lane, ready, place * jobs + 1, jobs) for place, lane in enumerate(lanes)))
    return time.perf_counter() - began_s


async def _work(lane: Lane, ready: Ready, first: int, jobs: int) -> None:
    model = ready.models[0]
    for number in range(first, first + jobs):
        request = Imagine(
            job=number,
            model=model.name,
            prompt="a red house on a meadow at night",
            seed=number,
            steps=model.steps,
            guidance=model.guidance,
            sampler=model.sampler,
            width=model.width,
            height=model.height,
        )
        async for event in lane.run([request]):
            if isinstance(event, Failed):
                raise RuntimeError(f"it was not painted: {event.reason}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
