"""`make bench`: prints every figure as a table and writes build/bench.json."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks import engines, enter_to_picture, overhead, timings


async def main() -> None:
    """Measure one thing after the other; nothing else should run beside it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--pairs", type=int, default=20, help="how often each figure is measured (20)")
    pairs = parser.parse_args().pairs
    figures = [
        *await overhead.measure(pairs, steps=8),
        *await overhead.measure(pairs, steps=25),
        *await enter_to_picture.measure(pairs),
    ]
    print(timings.table(figures))
    path = Path("build/bench.json")
    timings.write(path, figures, {"pairs": pairs, "device": "cpu", "threads": engines.THREADS, "model": "starter"})
    print(f"written to {path}")


asyncio.run(main())
