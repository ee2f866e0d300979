"""Every measurement of `make bench` runs, in small: what it measures is asserted only where it is no time."""

from __future__ import annotations

import sys
from itertools import chain, repeat

import pytest

from benchmarks import identical, lanes, quick, responsive, restarts
from benchmarks.beside import bounded
from benchmarks.identical import Made, compared
from bot.engine.process import InferenceProcess
from tests import forkserver


@pytest.fixture
def later_engines_are_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has nothing in common with them."""
    pythons = chain([sys.executable], repeat(forkserver.python()))
    start = InferenceProcess.start

    async def by_the_next(self: InferenceProcess) -> None:
        monkeypatch.setattr(sys, "executable", next(pythons))
        await start(self)

    monkeypatch.setattr(InferenceProcess, "start", by_the_next)


async def test_a_picture_with_other_bytes_is_counted() -> None:
    alone = {1: [Made("a", "x"), Made("b", "y")], 2: [Made("c", "z")]}
    same = compared("same", alone, [alone, {2: [Made("c", "z")], 1: [Made("a", "x"), Made("b", "y")]}])
    assert (same.ours, same.baseline, same.goal) == (0, 6, 0.0)
    other = compared("other", alone, [{**alone, 2: [Made("d", "z")]}])
    assert (other.ours, other.baseline) == (1, 3)
    assert identical.of_pixels(alone) == identical.of_pixels({**alone, 2: [Made("d", "z")]})


@pytest.mark.usefixtures("later_engines_are_forks")
async def test_pictures_have_the_same_bytes_in_every_company() -> None:
    beside, after, threads = await identical.measure(jobs=3)
    assert [row.ours for row in (beside, after, threads)] == [0, 0, 0]
    assert beside.n == 3 * 6
    assert after.n == threads.n == 4 * 6


async def test_engines_that_sleep_do_not_wait_for_each_other() -> None:
    [row] = await lanes.measure(1, engines=2, jobs=1)
    assert row.n == 1
    assert row.ours > 0


async def test_an_answer_is_timed_while_a_picture_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", forkserver.python())
    [row] = await quick.measure(1)
    assert 0 < row.ours < row.baseline


async def test_a_killed_engine_is_ready_again() -> None:
    [row] = await restarts.measure(1)
    assert row.ours > 0
    assert row.baseline > 0


async def test_the_bot_is_timed_while_much_is_asked_of_it() -> None:
    p99, most = await responsive.loop(1, upload_side=512, result_side=512)
    assert p99.n > 0
    assert (most.baseline, most.goal) == (50.0, 1.0)
    [answer] = await responsive.acknowledgements(queued=20, asked=5)
    assert answer.n == 5
    assert answer.ours > 0
    refused = await responsive.refused(5)
    assert refused.ours == 0
    assert refused.n > 10


async def test_requests_that_are_refused_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.rest.ratelimits.GLOBAL_PER_SECOND", 1)
    assert (await responsive.refused(5)).ours > 0


def test_what_has_a_bound_stands_beside_it() -> None:
    row = bounded("a wait", "ms", 20.0, 50.0, 100, "of the whole")
    assert (row.ratio, row.goal, row.note) == (0.4, 1.0, "beside the bound; of the whole")
