"""`make faults`, or `python -m benchmarks.faults [SCENARIO…]`: breaks everything, prints the tables, keeps them.

python -m benchmarks.faults                      the long form of all, and 10,000 damaged files
python -m benchmarks.faults kill burst --seed 7  two scenarios, from another seed
python -m benchmarks.faults --short              what the tests run
python -m benchmarks.faults --cut "no requeue"   with a wire of the bot cut: something must be counted
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from benchmarks import mutants
from benchmarks.faults import tables
from benchmarks.faults.running import Tables, run_all, with_cut_wire
from benchmarks.faults.runs import SCENARIOS
from benchmarks.faults.wires import WIRES

AT_ONCE = 3
REPORT = Path("build/faults.json")
FILES = 10_000


def damaged_files(seed: int, count: int) -> tuple[str, bool]:
    """The table of so many damaged files and bombs, and whether each was read or told in a sentence."""
    tallies = asyncio.run(mutants.survive(count, seed))
    return mutants.table(tallies), not any(tally.outcomes["anything else"] for tally in tallies.values())


def main() -> int:
    """Run what is asked for; returns 1 where anything was lost, doubled, stuck, orphaned or wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"some of {', '.join(SCENARIOS)} (all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="the short form, which the tests run")
    parser.add_argument("--cut", choices=WIRES, help="run with this wire of the bot cut, and nothing else")
    asked = parser.parse_args()
    if unknown := set(asked.scenarios) - SCENARIOS.keys():
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}: choose of {', '.join(SCENARIOS)}")
    os.umask(0o077)
    done = Tables()
    if asked.cut:
        asyncio.run(done.run(with_cut_wire(asked.cut, asked.seed)))
        print(tables.table(done.verdicts))
        return 0
    for name in asked.scenarios or SCENARIOS:
        runs = SCENARIOS[name](asked.seed, not asked.short)
        asyncio.run(run_all(runs, done, 1 if name in ("load", "starter") else AT_ONCE))
    clean = all(verdict.clean for verdict in done.verdicts.values())
    print(tables.table(done.verdicts))
    for figure, value in done.figures.items():
        print(f"{figure}: {value}")
    if not asked.scenarios and not asked.short:
        files, survived = damaged_files(asked.seed, FILES)
        print(files)
        done.figures["damaged files"] = files.splitlines()
        clean = clean and survived
    tables.write(REPORT, done.verdicts, done.figures, asked.seed, "short" if asked.short else "long")
    print(f"written to {REPORT}")
    return int(not clean)


if __name__ == "__main__":
    sys.exit(main())
