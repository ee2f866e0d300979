"""The short form of `make faults`: everything that it counts must be zero. The long form runs by itself."""

from __future__ import annotations

import pytest

from benchmarks.faults.judge import Verdict
from benchmarks.faults.running import Tables, run_all, with_cut_wire
from benchmarks.faults.runs import SCENARIOS

SEED = 1
AT_ONCE = 4
SHORT = [name for name in SCENARIOS if SCENARIOS[name](SEED, False)]


@pytest.mark.parametrize("name", SHORT)
async def test_what_was_told_is_kept(name: str) -> None:
    done = Tables()
    await run_all(SCENARIOS[name](SEED, False), done, AT_ONCE)
    total = Verdict()
    for verdict in done.verdicts.values():
        total.add(verdict)
    assert total.clean, "\n".join(total.notes)
    assert total.tried
    assert total.told


@pytest.mark.parametrize("wire", ["row after the acknowledgement"])
async def test_the_judge_counts_what_a_cut_wire_loses(wire: str) -> None:
    done = Tables()
    run = with_cut_wire(wire, SEED)
    await done.run(run)
    assert done.verdicts[run.name].lost
