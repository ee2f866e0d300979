"""`make bench`: prints every figure beside its baseline and writes benchmarks/results/DATE.json."""

from __future__ import annotations

import argparse
import asyncio
import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import (
    beside,
    engines,
    enter_to_picture,
    identical,
    lanes,
    outgoing,
    overhead,
    painting,
    quick,
    repeated,
    responsive,
    restarts,
    signed,
    starts,
    timings,
    turns,
)
from benchmarks.beside import Row


async def main() -> None:
    """Measure one thing after the other; nothing else should run beside it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--pairs", type=int, default=10, help="how often each figure is measured (10)")
    parser.add_argument("--whole", action="store_true", help="also through the real engine process and the real bot")
    parser.add_argument("--to", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    asked = parser.parse_args()
    rows = [*painting.measure(asked.pairs), *outgoing.measure(asked.pairs), *signed.measure(asked.pairs)]
    rows += await turns.measure()
    print(beside.table(rows), flush=True)
    figures = []
    if asked.whole:
        for measure in whole(asked.pairs):
            more = await measure()
            print(beside.table(more), flush=True)
            rows += more
        figures = [
            *await overhead.measure(asked.pairs, steps=8),
            *await overhead.measure(asked.pairs, steps=25),
            *await enter_to_picture.measure(asked.pairs),
        ]
        print(timings.table(figures))
    path = asked.to / f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-cpu.json"
    conditions = {"pairs": asked.pairs, "device": "cpu", "threads": engines.THREADS, "model": painting.MODEL}
    timings.write(path, figures, conditions | {"rows": [asdict(row) for row in rows]})
    print(f"written to {path}")


def whole(pairs: int) -> Sequence[Callable[[], Awaitable[list[Row]]]]:
    """What is measured through the real engine's process, the real bot, or both."""
    return [
        identical.measure,
        lambda: lanes.measure(pairs),
        lambda: quick.measure(pairs),
        lambda: restarts.measure(pairs),
        lambda: starts.measure(max(1, pairs // 3)),
        lambda: repeated.measure(pairs),
        responsive.measure,
    ]


if __name__ == "__main__":
    asyncio.run(main())
