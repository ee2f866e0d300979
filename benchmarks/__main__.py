"""`make bench`: prints every figure beside its baseline and writes benchmarks/results/DATE.json."""

from __future__ import annotations

import argparse
import asyncio
import datetime
from dataclasses import asdict
from pathlib import Path

from benchmarks import beside, engines, enter_to_picture, outgoing, overhead, painting, timings, turns


async def main() -> None:
    """Measure one thing after the other; nothing else should run beside it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--pairs", type=int, default=20, help="how often each figure is measured (20)")
    parser.add_argument("--whole", action="store_true", help="also through the real engine process and the real bot")
    parser.add_argument("--to", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    asked = parser.parse_args()
    rows = [*painting.measure(asked.pairs), *outgoing.measure(asked.pairs), *await turns.measure()]
    print(beside.table(rows), flush=True)
    figures = []
    if asked.whole:
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


asyncio.run(main())
