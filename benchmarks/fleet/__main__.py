"""`python -m benchmarks.fleet`: prints waits against fleet size, and writes build/fleet.json.

python -m benchmarks.fleet                      of the models below, as they were measured on one card
python -m benchmarks.fleet --data DIR           of what a bot has really done, from its database
python -m benchmarks.fleet --check              the simulation beside the real dispatcher, on a small case
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import platform
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from benchmarks.fleet import virtual
from benchmarks.fleet.checking import really
from benchmarks.fleet.simulation import Demand, Fleet, Kind, Outcome, demand, percentiles, simulate

RESULT = Path("build/fleet.json")

ASSUMED = (Kind("one", 0.7, (3.0,)), Kind("other", 0.3, (6.0,)))
"""Where nothing was measured: an SDXL picture of 30 steps and one of a larger model, about as one data-centre card of
2024 paints them."""

MEASURED_AT_LEAST = 20
"""Finished jobs of a bot, below which its database tells nothing."""

WARMING_S = 900.0
"""What is asked before that finds a queue that is only filling."""


def main(arguments: list[str]) -> int:
    """Simulate or check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="a bot's data folder: its finished jobs are the measurement")
    parser.add_argument("--check", action="store_true", help="compare with the real dispatcher, in a minute")
    parser.add_argument("--members", type=int, default=10_000, help="who may ask (10000)")
    parser.add_argument("--jobs-per-hour", type=float, default=3000.0, help="of all members in the evening (3000)")
    parser.add_argument("--load-s", type=float, default=10.0, help="to load a model that is not held (10)")
    parser.add_argument("--held", type=int, default=1, help="models that one card holds (1)")
    parser.add_argument("--batch", type=int, default=1, help="alike jobs that ride together (1)")
    parser.add_argument("--engines", type=int, nargs="*", help="fleets to look at (some around what is needed)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    if asked.check:
        return _check(asked.seed)
    kinds = ASSUMED if asked.data is None else measured(asked.data / "easel.sqlite3")
    wanted = Demand(kinds=kinds, members=asked.members, jobs_per_hour=asked.jobs_per_hour)
    # What the work alone comes to, without a model ever being loaded.
    erlangs = wanted.jobs_per_hour / 3600 * sum(kind.share * sum(kind.seconds) / len(kind.seconds) for kind in kinds)
    fleets = asked.engines or sorted({max(1, round(erlangs * share)) for share in (1.05, 1.2, 1.35, 1.5, 2.0, 3.0)})
    print(f"{wanted.jobs_per_hour:g} jobs an hour of {wanted.members} members keep {erlangs:.1f} cards busy")
    for kind in kinds:
        mean_s = sum(kind.seconds) / len(kind.seconds)
        print(f"  {kind.share:4.0%} {kind.model}: {mean_s:.2f} s each (n {len(kind.seconds)})")
    heads = ("engines", "busy", "wait p50", "wait p99", "first p50", "first p99", "loads per 100")
    print("  ".join(f"{head:>13}" for head in heads))
    rows = []
    for engines in fleets:
        fleet = Fleet(engines=engines, load_s=asked.load_s, held=asked.held, batch=asked.batch)
        outcome = virtual.run(simulate(demand(wanted, asked.seed), fleet, from_s=WARMING_S))
        rows.append({"fleet": asdict(fleet), **_row(outcome, engines)})
        print("  ".join(f"{cell:>13}" for cell in _cells(rows[-1], engines)))
    _write({"demand": asdict(wanted), "seed": asked.seed, "rows": rows})
    return 0


def measured(database: Path) -> tuple[Kind, ...]:
    """What a bot's finished jobs took, one kind for each model of which there are enough. It is only read."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT json_extract(request, '$.model'), seconds FROM job WHERE state = 'finished' AND seconds > 0"
            " ORDER BY id DESC LIMIT 100000"
        ).fetchall()
    of_model: dict[str, list[float]] = {}
    for model, seconds in found:
        of_model.setdefault(model, []).append(seconds)
    enough = {model: taken for model, taken in of_model.items() if len(taken) >= MEASURED_AT_LEAST}
    if not enough:
        sys.exit(
            f"easel: {database} has no {MEASURED_AT_LEAST} finished jobs of one model: nothing can be said from it"
        )
    total = sum(len(taken) for taken in enough.values())
    return tuple(Kind(model, len(taken) / total, tuple(taken)) for model, taken in enough.items())


def _check(seed: int) -> int:
    """The same small case twice, and both in one table."""
    wanted = Demand(
        kinds=(Kind("one", 0.6, (0.4, 0.5, 0.6)), Kind("other", 0.4, (0.8, 1.0))),
        members=12,
        jobs_per_hour=2.6 * 3600,
        burst=2.0,
        hours=25 / 3600,
    )
    rows = {}
    for engines in (1, 2, 3):
        fleet = Fleet(engines=engines, load_s=0.3)
        asked = demand(wanted, seed)
        real = asyncio.run(really(asked, fleet))
        simulated = virtual.run(simulate(asked, fleet))
        rows[engines] = {"real": _row(real, engines), "simulated": _row(simulated, engines)}
        same = sum(one == other for one, other in zip(real.order, simulated.order, strict=True))
        for name, outcome in (("real", real), ("simulated", simulated)):
            p50, p99 = percentiles(outcome.waits_s, 0.5, 0.99)
            print(f"{engines} engines, {name:9}  n {len(outcome.waits_s)}  p50 {p50:7.3f} s  p99 {p99:7.3f} s")
        print(f"  {same} of {len(real.order)} jobs had their turn at the same place")
    _write({"demand": asdict(wanted), "seed": seed, "check": rows})
    return 0


def _row(outcome: Outcome, engines: int) -> dict[str, float]:
    p50, p99 = percentiles(outcome.waits_s, 0.5, 0.99)
    first_p50, first_p99 = percentiles(outcome.first_waits_s, 0.5, 0.99)
    return {
        "n": len(outcome.waits_s),
        "busy": outcome.busy_s / (outcome.lasted_s * engines),
        "wait_p50_s": p50,
        "wait_p99_s": p99,
        "first_wait_p50_s": first_p50,
        "first_wait_p99_s": first_p99,
        "loads_per_100": 100 * outcome.loads / max(len(outcome.order), 1),
    }


def _cells(row: Mapping[str, object], engines: int) -> tuple[str, ...]:
    waits = (f"{row[name]:.1f} s" for name in ("wait_p50_s", "wait_p99_s", "first_wait_p50_s", "first_wait_p99_s"))
    return (str(engines), f"{row['busy']:.0%}", *waits, f"{row['loads_per_100']:.1f}")


def _write(found: Mapping[str, object]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    RESULT.write_text(json.dumps(about | dict(found), indent=2) + "\n")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
