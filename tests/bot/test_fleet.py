"""The simulation of fleets: against arithmetic, against the real dispatcher, and what it is driven by."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from benchmarks.fleet import __main__ as fleet_main
from benchmarks.fleet import virtual
from benchmarks.fleet.checking import really
from benchmarks.fleet.simulation import Asked, Demand, Fleet, Kind, demand, job, percentiles, simulate
from bot.database import open_database
from bot.jobs import Jobs
from bot.pictures.kept import Pictures
from tests.bot.conftest import finished, queued, request


def test_mean_wait_is_what_erlang_says_of_two_servers() -> None:
    """M/M/2 at a load of 0.75 each: the mean wait is C(2, 1.5) / (2 - 1.5) of a service time, C = 9/14."""
    chance = random.Random(3)
    kind = Kind("one", 1.0, tuple(chance.expovariate(1.0) for _ in range(5000)))
    mean_s = sum(kind.seconds) / len(kind.seconds)
    wanted = Demand(kinds=(kind,), members=10**9, jobs_per_hour=1.5 / mean_s * 3600, burst=1.0, hours=6.0)
    asked = demand(wanted, seed=5)
    outcome = virtual.run(simulate(asked, Fleet(engines=2, load_s=0.0), from_s=600))
    expected = 9 / 14 / 0.5 * mean_s
    assert len(outcome.waits_s) > 20_000
    assert sum(outcome.waits_s) / len(outcome.waits_s) == pytest.approx(expected, rel=0.08)
    assert outcome.loads == 0


async def test_real_dispatcher_takes_jobs_in_the_order_of_the_simulation() -> None:
    chance = random.Random(8)
    asked = [
        Asked(0.0, job(number, chance.randrange(7), chance.choice(("one", "other", "third")), 0.0), 0.001)
        for number in range(1, 61)
    ]
    fleet = Fleet(engines=1, load_s=0.0, batch=1)
    real = await really(asked, fleet)
    # A loop of its own, which cannot be in this one.
    simulated = await asyncio.to_thread(virtual.run, simulate(asked, fleet))
    assert sorted(real.order) == list(range(1, 61))
    assert real.order == simulated.order
    # And it is no order that anything would have.
    assert real.order != sorted(real.order)


def test_more_engines_wait_less_and_fewer_loads_wait_less() -> None:
    kinds = (Kind("one", 0.5, (3.0,)), Kind("other", 0.5, (3.0,)))
    asked = demand(Demand(kinds=kinds, members=1000, jobs_per_hour=3000, hours=1.0), seed=1)

    def p50_s(**fleet: float) -> float:
        outcome = virtual.run(simulate(asked, Fleet(**{"engines": 3, "load_s": 10.0, **fleet})))  # type: ignore[arg-type]
        [found] = percentiles(outcome.waits_s, 0.5)
        return found

    assert p50_s(engines=6) < p50_s(engines=4) < p50_s(engines=3)
    assert p50_s(held=2) < p50_s(held=1)


def test_simulation_that_comes_to_a_standstill_says_so() -> None:
    async def wait_for_nothing() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="standstill"):
        virtual.run(wait_for_nothing())


async def test_service_times_come_from_what_a_bot_has_done(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path)
    pictures.prepare()
    async with open_database(tmp_path / "easel.sqlite3") as database:
        jobs = Jobs(database, pictures)
        for model, count, seconds in (("sd15", 30, 2.0), ("sdxl", 20, 5.0), ("rare", 3, 9.0)):
            for _ in range(count):
                one = await queued(jobs, request(model=model))
                await jobs.start([one.id])
                await jobs.finish(finished(tmp_path, one.id, seconds=seconds))
        kinds = {kind.model: kind for kind in fleet_main.measured(tmp_path / "easel.sqlite3")}
    assert kinds.keys() == {"sd15", "sdxl"}
    assert (kinds["sd15"].share, set(kinds["sd15"].seconds)) == (0.6, {2.0})
    assert (kinds["sdxl"].share, set(kinds["sdxl"].seconds)) == (0.4, {5.0})
