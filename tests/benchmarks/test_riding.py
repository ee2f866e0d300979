"""What late riders are worth, as the benchmark counts it."""

from __future__ import annotations

import pytest

from benchmarks import riding
from benchmarks.fleet import virtual
from benchmarks.fleet.simulation import Demand, Fleet, Kind, demand


def test_jobs_that_come_while_a_model_is_loaded_share_its_pass() -> None:
    fleet = Fleet(engines=1, load_s=12.0, batch=4)
    asked = demand(Demand(kinds=(Kind("sd15", 1.0, (4.0,)),), members=9, jobs_per_hour=600, hours=0.1), seed=1)
    taken, late = (virtual.run(riding.worked_off(asked, fleet, late=late)) for late in (False, True))
    assert len(taken.waits_s) == len(late.waits_s) == len(asked)
    assert late.joined > taken.joined == 0
    assert late.passes < taken.passes


def test_alone_nobody_waits_for_a_pass_and_steps_are_no_worse_than_passes() -> None:
    assert riding.between_steps(0.01, 4, each=True, jobs=200) == pytest.approx(1.0, abs=0.05)
    assert riding.between_steps(2.0, 4, each=True, jobs=500) < riding.between_steps(2.0, 4, each=False, jobs=500)
