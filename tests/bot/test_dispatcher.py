"""From the queue through the engine to delivery, with a real database and an engine that follows a script."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import re
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from bot import commands
from bot import database as database_module
from bot import dispatcher as dispatcher_module
from bot import lines as lines_module
from bot.cards import Card
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.engine.interface import Neighbour
from bot.engine.local import LocalEngine
from bot.errors import EngineDied, OperatorError, Starting
from bot.job import Job, asked
from bot.jobs import Jobs
from bot.policies.kept import Place, Policies
from bot.training.turns import Turns
from inference.protocol import (
    Answer,
    Classify,
    Drawn,
    Event,
    Failed,
    Finished,
    Imagine,
    Input,
    LabelShare,
    Progress,
    Reason,
    Request,
    Work,
    because,
    logs,
    sha256_of,
)
from tests.bot.conftest import failure, finished, kept, on_uploads, queued, ready, reply, request, stored

Script = Callable[["ScriptedEngine", Any], AsyncIterator[Event]]


class ScriptedLane:
    """A lane in this process, which takes what it is told to."""

    def __init__(
        self,
        engine: ScriptedEngine,
        name: str,
        *,
        quick: bool = False,
        capacity: int = 1,
        takes: Callable[[Work], bool] = lambda _: True,
    ) -> None:
        self.name = name
        self.quick = quick
        self.paid = False
        self.batches: list[list[int]] = []
        self.takes = takes
        self._engine = engine
        self._capacity = capacity
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._gone = False
        self.come_back()

    def turn(self) -> contextlib.AbstractAsyncContextManager[None]:
        """As the engine's neighbour has it, if there is one."""
        return contextlib.nullcontext() if self._engine.neighbour is None else self._engine.neighbour.turn()

    def capacity(self, request: Request) -> int:
        return self._capacity

    @property
    def is_up(self) -> bool:
        return self._up.is_set() and not self._gone

    async def up(self) -> bool:
        await self._up.wait()
        return not self._gone

    async def down(self) -> None:
        await self._down.wait()

    def go_away(self) -> None:
        self._up.clear()
        self._down.set()

    def come_back(self) -> None:
        self._up.set()
        self._down.clear()

    def end(self) -> None:
        """Go away for good."""
        self._gone = True
        self._down.set()
        self._up.set()

    async def run(self, requests: Sequence[Work]) -> AsyncGenerator[Event, None]:
        self.batches.append([request.job for request in requests])
        for wanted in requests:
            async for event in self._engine.script(self._engine, wanted):
                yield event


class ScriptedEngine:
    """An engine in this process: what it does with a request is up to the test."""

    def __init__(self, script: Script, data: Path, capacity: int = 1) -> None:
        self.script = script
        self.data = data
        self.lanes = [
            ScriptedLane(self, "slow", capacity=capacity),
            ScriptedLane(self, "quick", quick=True, capacity=capacity),
        ]
        self.changed = asyncio.Event()
        self.ready = ready()
        self.neighbour: Neighbour | None = None
        self.deaths = 0
        self.comes_back = True
        self.cancelled: set[int] = set()
        self.cancellation = asyncio.Event()

    @property
    def batches(self) -> list[list[int]]:
        return [batch for lane in self.lanes for batch in lane.batches]

    def die(self, *at_work: int) -> EngineDied:
        """End, and come back a little later; returns what to raise."""
        self.deaths += 1
        for lane in self.lanes:
            lane.go_away()
            if self.comes_back:
                asyncio.get_running_loop().call_later(0.01, lane.come_back)
        return EngineDied("gone", frozenset(at_work))

    async def lanes_changed(self) -> None:
        await self.changed.wait()
        self.changed.clear()

    async def start(self) -> None:
        pass

    async def keep(self) -> None:
        pass

    async def cancel(self, job_id: int) -> None:
        self.cancelled.add(job_id)
        self.cancellation.set()

    async def close(self) -> None:
        pass


async def paint(engine: ScriptedEngine, wanted: Work) -> AsyncIterator[Event]:
    assert isinstance(wanted, Imagine)
    yield Progress(wanted.job, 1, wanted.steps)
    yield finished(engine.data, wanted.job, f"picture of {wanted.prompt}".encode(), seed=wanted.seed)


class Studio:
    """A dispatcher with everything around it, and what it has delivered."""

    def __init__(self, jobs: Jobs, engine: ScriptedEngine, clock: Callable[[], float] = time.time) -> None:
        self.jobs = jobs
        self.engine = engine
        self.delivery = create_autospec(Delivery, spec_set=True, instance=True)
        self.delivery.headline.return_value = "a red house"
        self.delivered: list[Job] = []
        self.shown: list[tuple[int, str]] = []
        self.arrival = asyncio.Event()
        self.delivery.deliver.side_effect = self._deliver
        self.delivery.show.side_effect = self._show
        self.dispatcher = Dispatcher(jobs, engine, self.delivery, clock=clock)

    def _deliver(self, job: Job) -> None:
        self.delivered.append(job)
        self.arrival.set()

    def _show(self, job: Job, card: Callable[[str], Card]) -> None:
        self.shown.append((job.id, str(card("a red house").view.to_components())))
        self.arrival.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        await self.dispatcher.resume()
        running = asyncio.create_task(self.dispatcher.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def deliveries(self, count: int) -> list[Job]:
        await self.until(lambda: len(self.delivered) >= count)
        return self.delivered

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that is delivered or shown."""
        while not happened():
            self.arrival.clear()
            await self.arrival.wait()


Open = Callable[..., Studio]


@pytest.fixture
def studio_of(jobs: Jobs, tmp_path: Path) -> Open:
    return lambda script, capacity=1: Studio(jobs, ScriptedEngine(script, tmp_path, capacity))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "SHOW_EVERY_S", 0.0)
    monkeypatch.setattr(dispatcher_module, "REST_S", 0.0)


async def test_queued_job_is_painted_and_delivered(jobs: Jobs, studio_of: Open) -> None:
    await queued(jobs, request("a red house"), reply())
    studio = studio_of(paint)
    async with studio.open():
        [job] = await studio.deliveries(1)
    assert job.state == "finished"
    assert [path.read_bytes() for path in jobs.paths(job)] == [b"picture of a red house"]


async def test_job_waits_until_who_else_uses_the_device_gives_way_and_can_be_cancelled_meanwhile(
    jobs: Jobs, studio_of: Open
) -> None:
    first, second = await queued(jobs, request("a red house"), reply()), await queued(jobs, request("a boat"), reply())
    studio = studio_of(paint)
    studio.engine.neighbour = turns = Turns()
    turns.has_memory = True
    turns.take()
    async with studio.open():
        await asyncio.wait_for(turns.wanted(), 30)
        assert await studio.dispatcher.cancel(first)
        assert studio.engine.batches == []
        turns.give()
        done = await studio.deliveries(2)
    assert {job.id: job.state for job in done} == {first.id: "cancelled", second.id: "finished"}
    # Nobody keeps it from going on.
    await asyncio.wait_for(turns.quiet(), 30)


async def forbidding(jobs: Jobs, *words: str) -> Policies:
    """What is allowed in the server of `reply`, where these words are not."""
    policies = Policies(jobs._database, commands.load().commands_of_kinds)
    await policies.block_words(Place(5), words)
    return policies


async def test_job_that_is_not_allowed_any_more_when_its_turn_comes_ends_in_a_sentence(
    jobs: Jobs, studio_of: Open
) -> None:
    await queued(jobs, request("a scary clown"), reply(1))
    await queued(jobs, request("a red house"), reply(2))
    studio = studio_of(paint, capacity=2)
    studio.dispatcher._policies = await forbidding(jobs, "boat", "clown")
    async with studio.open():
        ended = {asked(job, Imagine).prompt: job for job in await studio.deliveries(2)}
    assert failure(ended["a scary clown"]).startswith("Word 2 of this server's list")
    assert ended["a red house"].state == "finished"
    assert studio.engine.batches == [[2]]


async def test_what_becomes_of_flagged_pictures_is_sent_as_it_is_set_when_the_turn_has_come(
    jobs: Jobs, studio_of: Open
) -> None:
    sent: dict[int, Request] = {}

    async def note(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        sent[wanted.job] = wanted
        yield finished(engine.data, wanted.job, b"a house")

    among_adults = await queued(jobs, request(), dataclasses.replace(reply(1), age_restricted=True))
    elsewhere = await queued(jobs, request(), reply(2))
    studio = studio_of(note)
    studio.dispatcher._policies = await forbidding(jobs)
    await studio.dispatcher._policies.put(Place(5), "flagged", "spoiler")
    async with studio.open():
        await studio.deliveries(2)
    assert {number: one.safety for number, one in sent.items()} == {among_adults.id: "spoiler", elsewhere.id: "block"}


async def test_picture_of_words_that_wildcards_drew_and_nobody_may_see_is_shown_to_nobody(
    jobs: Jobs, studio_of: Open, tmp_path: Path
) -> None:
    async def draw(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        assert isinstance(wanted, Imagine)
        words = wanted.prompt.replace("__thing__", "scary clown")
        yield finished(engine.data, wanted.job, words.encode(), answer=Answer(drawn=(Drawn(words, ""),)))

    await queued(jobs, request("a __thing__"), reply())
    await queued(jobs, request("a house"), reply())
    studio = studio_of(draw)
    studio.dispatcher._endings._policies = await forbidding(jobs, "clown")
    async with studio.open():
        job, other = sorted(await studio.deliveries(2), key=lambda job: job.id)
    assert other.state == "finished"
    assert failure(job).startswith("Word 1 of this server's list")
    assert kept(tmp_path) == [b"a house"]


async def test_picture_that_goes_on_from_the_seed_of_other_weights_says_so(jobs: Jobs, studio_of: Open) -> None:
    painted_with = {"": "11111"}

    async def paint_with(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        recipe = {"model": {"name": wanted.model, "hash": painted_with[""]}} if painted_with[""] else {}
        yield finished(engine.data, wanted.job, f"{wanted.job}".encode(), recipe=recipe)

    studio, asked = studio_of(paint_with), 0

    async def noted(wanted: Request, parent: int | None) -> list[Reason | str]:
        nonlocal asked
        asked += 1
        studio.dispatcher.put(await queued(jobs, wanted, reply(), parent))
        return [*(await studio.deliveries(asked))[-1].answer.notes]

    async with studio.open():
        assert await noted(request(seed=42), None) == []
        assert await noted(request("a red house in fog", seed=42), 1) == []
        painted_with[""] = "22222"
        assert await noted(request("a red house in fog", seed=42), 1) == [because("other_weights", weights="11111")]
        assert await noted(request(seed=43), 1) == [], "another seed gives another picture anyhow"
        assert await noted(request(seed=42, model="lion"), 1) == []
        assert await noted(request(seed=42), None) == []
        # Of what came later than the exchange there is nothing to say, nor where nobody knows.
        assert await noted(request(seed=42), 3) == []
        painted_with[""] = ""
        assert await noted(request(seed=42), 3) == []


async def test_job_that_was_running_when_the_bot_was_killed_runs_again_with_the_same_seed(
    jobs: Jobs, studio_of: Open
) -> None:
    job = await queued(jobs, request(seed=42), reply())
    await jobs.start([job.id])
    studio = studio_of(paint)
    async with studio.open():
        [again] = await studio.deliveries(1)
    assert (again.id, again.state, again.pictures[0].seed) == (job.id, "finished", 42)


async def test_database_that_somebody_holds_at_the_start_is_waited_for(
    jobs: Jobs, studio_of: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await queued(jobs, request(), reply())
    await jobs.start([job.id])
    requeue, tries = jobs.requeue, iter([True, False])

    async def held(*job_ids: object) -> None:
        if next(tries, False):
            raise sqlite3.OperationalError("database is locked")
        await requeue(*job_ids)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "requeue", held)
    monkeypatch.setattr("bot.database.RETRY_AFTER_S", (0.01,))
    studio = studio_of(paint)
    async with studio.open():
        [again] = await studio.deliveries(1)
    assert (again.id, again.state) == (job.id, "finished")


async def test_finished_but_undelivered_job_is_delivered_at_the_next_start(jobs: Jobs, studio_of: Open) -> None:
    job = await queued(jobs, request(), reply())
    await jobs.fail(job.id, "out_of_memory", because("Too large."))
    studio = studio_of(paint)
    async with studio.open():
        [late] = await studio.deliveries(1)
    assert (late.id, failure(late)) == (job.id, "Too large.")
    assert studio.engine.batches == []


async def test_each_line_of_a_pass_says_of_which_job_it_is_and_none_what_a_member_typed(
    jobs: Jobs, studio_of: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Failed(wanted.job, "invalid_input", because("no_model", typed="zebrafinch", choices=("starter",)))

    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(logs.note_jobs)
    ids = [(await queued(jobs, request("a zebrafinch"), reply(member))).id for member in (1, 2)]
    studio = studio_of(fail, capacity=2)
    async with studio.open():
        await studio.deliveries(2)
    assert studio.engine.batches == [ids]
    said = [(record.jobs, record.getMessage()) for record in caplog.records]  # type: ignore[attr-defined]
    why = "failed (invalid_input): There is no model called '…': choose one of starter."
    assert said == [((job_id,), why) for job_id in ids]


async def test_job_that_stops_the_engine_twice_is_set_aside_and_the_others_go_on(
    jobs: Jobs, studio_of: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def die_of_the_first(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        assert isinstance(wanted, Imagine)
        if wanted.prompt == "poison":
            raise engine.die(wanted.job)
        async for event in paint(engine, wanted):
            yield event

    poison = await queued(jobs, request("poison"), reply(1))
    await queued(jobs, request("a blue boat"), reply(2))
    studio = studio_of(die_of_the_first)
    async with studio.open():
        delivered = {asked(job, Imagine).prompt: job for job in await studio.deliveries(2)}
    assert delivered["a blue boat"].state == "finished"
    assert delivered["poison"].state == "failed"
    assert "stopped the engine 2 times" in failure(delivered["poison"])
    assert sum(poison.id in batch for batch in studio.engine.batches) == 2
    assert "it ended the engine 2 times" in caplog.text


async def test_stopping_the_bot_puts_the_running_job_back_without_blame(jobs: Jobs, studio_of: Open) -> None:
    started = asyncio.Event()

    async def never_end(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        started.set()
        await asyncio.Event().wait()
        yield Progress(wanted.job, 0, 1)

    job = await queued(jobs, request(), reply())
    studio = studio_of(never_end)
    async with studio.open():
        await started.wait()
        assert (await stored(jobs, job.id)).state == "running"
    assert ((await stored(jobs, job.id)).state, (await stored(jobs, job.id)).attempts) == ("queued", 0)


async def test_waiting_job_is_cancelled_at_once(jobs: Jobs, studio_of: Open) -> None:
    job = await queued(jobs, request(), reply())
    studio = studio_of(paint)
    await studio.dispatcher.resume()
    assert await studio.dispatcher.cancel(job)
    assert [late.state for late in studio.delivered] == ["cancelled"]
    assert not await studio.dispatcher.cancel(job)


async def test_running_job_is_cancelled_by_the_engine(jobs: Jobs, studio_of: Open) -> None:
    started = asyncio.Event()

    async def paint_until_cancelled(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        started.set()
        await engine.cancellation.wait()
        yield Failed(wanted.job, "cancelled", because("cancelled"))

    job = await queued(jobs, request(), reply())
    studio = studio_of(paint_until_cancelled)
    async with studio.open():
        await started.wait()
        assert await studio.dispatcher.cancel(job)
        [late] = await studio.deliveries(1)
    assert late.state == "cancelled"


async def test_job_can_be_cancelled_at_every_moment_of_its_way_from_the_queue_into_the_engine(
    jobs: Jobs, studio_of: Open
) -> None:
    job = await queued(jobs, request(), reply())
    studio = studio_of(paint)
    moments = 0
    async with studio.open():
        while not studio.engine.batches:
            assert studio.dispatcher.standing(job.id) is not None
            moments += 1
            await asyncio.sleep(0)
    assert moments > 3


async def test_job_that_ended_before_its_turn_came_is_not_painted_and_not_brought_again(
    jobs: Jobs, studio_of: Open
) -> None:
    ended, deleted, job = [await queued(jobs, request(), reply()) for _ in range(3)]
    studio = studio_of(paint, 3)
    await studio.dispatcher.resume()
    await jobs.cancel(ended.id)
    await jobs.delete(deleted.id)
    running = asyncio.create_task(studio.dispatcher.run())
    await studio.deliveries(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert studio.engine.batches == [[job.id]]
    assert [late.id for late in studio.delivered] == [job.id]


def question(image: bytes = b"boat") -> Classify:
    """A quick request on a picture of these bytes."""
    return Classify(
        job=0, model="clip", image=Input(sha256_of(image), 64, 64), labels=("boat", "house"), templates=("{}",)
    )


async def test_quick_job_does_not_wait_for_a_slow_one(jobs: Jobs, studio_of: Open, tmp_path: Path) -> None:
    answered = asyncio.Event()

    async def answer_at_once_and_paint_later(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if isinstance(wanted, Classify):
            answer = Answer(labels=(LabelShare("boat", 0.9), LabelShare("house", 0.1)))
            yield Finished(job=wanted.job, pictures=(), recipe={}, seconds=0.1, answer=answer)
        else:
            await answered.wait()
            async for event in paint(engine, wanted):
                yield event

    slow = await queued(jobs, request(), reply(1))
    quick = await on_uploads(jobs, tmp_path, question(), b"boat")
    studio = studio_of(answer_at_once_and_paint_later)
    async with studio.open():
        [first] = await studio.deliveries(1)
        assert first.id == quick.id
        assert [fit.label for fit in first.answer.labels] == ["boat", "house"]
        answered.set()
        assert [job.id for job in await studio.deliveries(2)] == [quick.id, slow.id]


async def test_death_under_both_lanes_loses_nothing(jobs: Jobs, studio_of: Open, tmp_path: Path) -> None:
    waiting = asyncio.Barrier(2)

    async def die_once(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if not engine.deaths:
            await waiting.wait()
            raise engine.die()
        if isinstance(wanted, Classify):
            yield Finished(job=wanted.job, pictures=(), recipe={}, seconds=0.1, answer=Answer())
        else:
            async for event in paint(engine, wanted):
                yield event

    await queued(jobs, request(), reply(1))
    await on_uploads(jobs, tmp_path, question(), b"boat")
    studio = studio_of(die_once)
    async with studio.open():
        delivered = await studio.deliveries(2)
    assert {job.state for job in delivered} == {"finished"}
    assert [len(lane.batches) for lane in studio.engine.lanes] == [2, 2]


async def test_quick_job_that_stopped_the_engine_runs_again_alone(jobs: Jobs, studio_of: Open, tmp_path: Path) -> None:
    async def answer(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Finished(job=wanted.job, pictures=(), recipe={}, seconds=0.1)

    job = await on_uploads(jobs, tmp_path, question(), b"boat")
    await jobs.start([job.id])
    await jobs.requeue([job.id], {job.id})
    studio = studio_of(answer)
    async with studio.open():
        await studio.deliveries(1)
    assert [lane.batches for lane in studio.engine.lanes] == [[[job.id]], []]


def engine_of_two_cards(script: Script, data: Path) -> ScriptedEngine:
    engine = ScriptedEngine(script, data)
    engine.lanes = [ScriptedLane(engine, name) for name in ("cuda:0", "cuda:1")]
    return engine


async def test_jobs_go_to_the_lane_with_the_least_to_do(jobs: Jobs, tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def wait_for_each_other(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        await both.wait()
        async for event in paint(engine, wanted):
            yield event

    for member in range(4):
        await queued(jobs, request(), reply(member))
    studio = Studio(jobs, engine_of_two_cards(wait_for_each_other, tmp_path))
    async with studio.open():
        assert {job.state for job in await studio.deliveries(4)} == {"finished"}
    assert [len(lane.batches) for lane in studio.engine.lanes] == [2, 2]


async def test_lane_that_goes_away_costs_only_its_own_jobs_a_try(jobs: Jobs, tmp_path: Path) -> None:
    both, dead = asyncio.Barrier(2), asyncio.Event()

    async def lose_a_card(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        first, second = engine.lanes
        if [wanted.job] not in second.batches and not dead.is_set():
            await both.wait()
            first.go_away()
            dead.set()
            raise EngineDied("gone", frozenset([wanted.job]))
        if not dead.is_set():
            await both.wait()
            await dead.wait()
        async for event in paint(engine, wanted):
            yield event

    unlucky, other = await queued(jobs), await queued(jobs)
    studio = Studio(jobs, engine_of_two_cards(lose_a_card, tmp_path))
    async with studio.open():
        done = {job.id: (job.state, job.attempts) for job in await studio.deliveries(2)}
    assert done == {unlucky.id: ("finished", 1), other.id: ("finished", 0)}
    assert [lane.batches for lane in studio.engine.lanes] == [[[unlucky.id]], [[other.id], [unlucky.id]]]


async def test_lane_that_comes_later_is_used_and_one_that_goes_for_good_keeps_no_job(
    jobs: Jobs, tmp_path: Path
) -> None:
    started = asyncio.Event()

    async def paint_on_the_second(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        started.set()
        if len(engine.lanes) == 1:
            await engine.cancellation.wait()
            raise EngineDied("the node is gone", frozenset([wanted.job]))
        async for event in paint(engine, wanted):
            yield event

    engine = engine_of_two_cards(paint_on_the_second, tmp_path)
    old, new = engine.lanes
    engine.lanes = [old]
    running, waiting = await queued(jobs), await queued(jobs)
    studio = Studio(jobs, engine)
    async with studio.open():
        await started.wait()
        engine.lanes = [new]
        engine.lanes.append(ScriptedLane(engine, "quick", quick=True))
        engine.changed.set()
        old.end()
        engine.cancellation.set()
        done = {job.id: (job.state, job.attempts) for job in await studio.deliveries(2)}
    assert done == {running.id: ("finished", 1), waiting.id: ("finished", 0)}
    assert old.batches == [[running.id]]


async def test_job_goes_to_the_lane_that_used_its_model_last(jobs: Jobs, tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def wait_for_each_other_at_first(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if wanted.job <= 2:
            await both.wait()
        async for event in paint(engine, wanted):
            yield event

    engine = engine_of_two_cards(wait_for_each_other_at_first, tmp_path)
    for member, model in enumerate(("sd15", "sdxl")):
        await queued(jobs, request(model=model), reply(member))
    studio = Studio(jobs, engine)
    async with studio.open():
        await studio.deliveries(2)
        for number in range(3, 9):
            # Each comes when both lanes wait; the one that waits for longer is as often the wrong one.
            studio.dispatcher.put(await queued(jobs, request(model=("sdxl", "sd15")[number // 2 % 2]), reply(number)))
            await studio.deliveries(number)
    models = [{asked(await stored(jobs, job), Imagine).model for [job] in lane.batches} for lane in engine.lanes]
    assert models in ([{"sd15"}, {"sdxl"}], [{"sdxl"}, {"sd15"}])


async def test_lane_runs_only_what_it_takes(jobs: Jobs, tmp_path: Path) -> None:
    engine = engine_of_two_cards(paint, tmp_path)
    small, large = engine.lanes
    small.takes = lambda wanted: wanted.model != "large"
    wanted = [await queued(jobs, request(model="large"), reply(member)) for member in range(4)]
    other = await queued(jobs, request(), reply(9))
    studio = Studio(jobs, engine)
    async with studio.open():
        await studio.deliveries(5)
    assert {job for [job] in large.batches} >= {job.id for job in wanted}
    assert small.batches in ([[other.id]], [])


async def test_engine_failure_reaches_the_member_in_words(jobs: Jobs, studio_of: Open) -> None:
    async def fail(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Failed(wanted.job, "out_of_memory", because("memory_for_size", width=512, height=512, smaller="64x64"))

    await queued(jobs, request(), reply())
    studio = studio_of(fail)
    async with studio.open():
        [job] = await studio.deliveries(1)
    assert (job.state, job.failure_kind, failure(job)) == (
        "failed",
        "out_of_memory",
        "512x512 does not fit into the device's memory: try 64x64.",
    )


async def never_end(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
    yield Progress(wanted.job, 0, 8)
    await asyncio.Event().wait()


def says(studio: Studio, job: Job, words: str) -> Callable[[], bool]:
    return lambda: any(number == job.id and words in card for number, card in studio.shown)


async def test_nobody_is_blamed_for_an_engine_that_dies_idle(jobs: Jobs, studio_of: Open) -> None:
    studio = studio_of(paint)
    async with studio.open():
        await asyncio.sleep(0)
        studio.engine.die()
        job = await queued(jobs)
        studio.dispatcher.put(job)
        [done] = await studio.deliveries(1)
    assert (done.state, done.attempts) == ("finished", 0)


async def test_only_who_was_at_work_is_blamed_for_the_engines_death(
    jobs: Jobs, studio_of: Open, tmp_path: Path
) -> None:
    both = asyncio.Barrier(2)

    async def die_of_the_question(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if not engine.deaths:
            await both.wait()
            raise engine.die(quick.id)
        yield finished(engine.data, wanted.job)

    slow = await queued(jobs)
    quick = await on_uploads(jobs, tmp_path, question(), b"boat")
    studio = studio_of(die_of_the_question)
    async with studio.open():
        done = {job.id: job.attempts for job in await studio.deliveries(2)}
    assert done == {slow.id: 0, quick.id: 1}


async def test_cards_say_that_the_engine_is_being_started_again(jobs: Jobs, studio_of: Open) -> None:
    studio = studio_of(paint)
    studio.engine.comes_back = False
    async with studio.open():
        await studio.dispatcher.turned()
        studio.engine.die()
        job = await queued(jobs)
        studio.dispatcher.put(job)
        await studio.until(says(studio, job, "the engine is being started again"))
        assert "being started again" in str(studio.dispatcher.card(job).view.to_components())
        for lane in studio.engine.lanes:
            lane.come_back()
        await studio.deliveries(1)


async def test_cards_say_that_the_engine_is_starting_and_its_first_lane_begins(jobs: Jobs, studio_of: Open) -> None:
    old = await queued(jobs, request("a boat"), reply(2))
    studio = studio_of(paint)
    for lane in studio.engine.lanes:
        lane.go_away()
    async with studio.open():
        await studio.until(says(studio, old, "the engine is starting"))
        job = await queued(jobs)
        assert "the engine is starting" in str(studio.dispatcher.card(job).view.to_components())
        await studio.dispatcher.accept(job)
        standing = studio.dispatcher.standing(job.id)
        assert standing is not None
        assert (standing.absence, standing.ready_at) == ("starting", None)
        studio.engine.lanes[0].come_back()
        assert {done.id for done in await studio.deliveries(2)} == {old.id, job.id}
        assert studio.dispatcher.absence is None


async def test_job_is_accepted_where_nobody_can_tell_yet_what_the_engine_is(
    jobs: Jobs, studio_of: Open, tmp_path: Path
) -> None:
    not_started = LocalEngine({}, tmp_path, silence_s=60, devices=("cpu",))
    dispatcher = Dispatcher(jobs, not_started, studio_of(paint).delivery)
    job = await queued(jobs)
    assert "the engine is starting" in str(dispatcher.card(job).view.to_components())
    await dispatcher.accept(job)
    assert dispatcher.waiting() == 1
    with pytest.raises(Starting, match="Easel is just being started: try again in a minute"):
        _ = dispatcher.ready


async def test_cancel_between_the_queue_and_the_engine_holds(
    jobs: Jobs, studio_of: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting, go_on = asyncio.Event(), asyncio.Event()
    start = jobs.start

    async def start_slowly(job_ids: list[int]) -> frozenset[int]:
        starting.set()
        await go_on.wait()
        return await start(job_ids)

    monkeypatch.setattr(jobs, "start", start_slowly)
    job = await queued(jobs)
    studio = studio_of(paint)
    async with studio.open():
        await starting.wait()
        assert await studio.dispatcher.cancel(job)
        go_on.set()
        other = await queued(jobs, request("another"))
        studio.dispatcher.put(other)
        delivered = await studio.deliveries(2)
    assert {one.id: one.state for one in delivered} == {job.id: "cancelled", other.id: "finished"}
    assert studio.engine.batches == [[other.id]]


async def test_cancel_while_a_neighbour_is_ended_holds_without_being_painted(
    jobs: Jobs, studio_of: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting, go_on = asyncio.Event(), asyncio.Event()
    start, fail = jobs.start, jobs.fail

    async def start_slowly(job_ids: list[int]) -> frozenset[int]:
        started = await start(job_ids)
        starting.set()
        await go_on.wait()
        return started

    async def cancel_the_first_meanwhile(job_id: int, *given: Any) -> Job | None:
        if job_id == second.id:
            assert await studio.dispatcher.cancel(first)
        return await fail(job_id, *given)

    monkeypatch.setattr(jobs, "start", start_slowly)
    monkeypatch.setattr(jobs, "fail", cancel_the_first_meanwhile)
    first, second, third = await queued(jobs), await queued(jobs), await queued(jobs)
    studio = studio_of(paint, capacity=3)
    async with studio.open():
        await starting.wait()
        assert await studio.dispatcher.cancel(second)
        go_on.set()
        delivered = await studio.deliveries(3)
    assert {one.id: one.state for one in delivered} == {
        first.id: "cancelled",
        second.id: "cancelled",
        third.id: "finished",
    }
    assert studio.engine.batches == [[third.id]]


async def test_cancelled_job_that_fails_in_the_engine_ends_as_cancelled(jobs: Jobs, studio_of: Open) -> None:
    async def fail_when_asked_to_stop(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Progress(wanted.job, 0, 8)
        await engine.cancellation.wait()
        yield Failed(wanted.job, "out_of_memory", "Try 64x64.")

    job = await queued(jobs)
    studio = studio_of(fail_when_asked_to_stop)
    async with studio.open():
        await studio.until(says(studio, job, "0/8"))
        assert await studio.dispatcher.cancel(job)
        [ended] = await studio.deliveries(1)
    assert (ended.state, ended.failure_kind) == ("cancelled", "cancelled")


@pytest.mark.parametrize("end", ["cancel", "delete"])
async def test_job_that_comes_into_its_queue_while_it_is_ended_does_not_wait(
    jobs: Jobs, studio_of: Open, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    studio = studio_of(paint)
    job = await queued(jobs, request(), reply())
    write = getattr(jobs, end)

    async def put_meanwhile(job_id: int, *by: int | None) -> object:
        # The card is there before its message is known: whoever is quick presses Cancel in between.
        studio.dispatcher.put(job)
        return await write(job_id, *by)

    monkeypatch.setattr(jobs, end, put_meanwhile)
    await getattr(studio.dispatcher, end)(job)
    assert studio.dispatcher.waiting() == 0
    assert studio.engine.cancelled == {job.id}


async def test_cancelled_job_does_not_wait_again_when_the_engine_dies_under_it(jobs: Jobs, studio_of: Open) -> None:
    async def die_when_asked_to_stop(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Progress(wanted.job, 0, 8)
        await engine.cancellation.wait()
        raise engine.die(wanted.job)

    job = await queued(jobs)
    studio = studio_of(die_when_asked_to_stop)
    async with studio.open():
        await studio.until(says(studio, job, "0/8"))
        assert await studio.dispatcher.cancel(job)
        [ended] = await studio.deliveries(1)
        await studio.dispatcher.delete(ended)
    assert ended.state == "cancelled"
    assert len(studio.engine.batches) == 1


async def test_cancel_that_was_said_holds_although_the_picture_was_quicker(
    jobs: Jobs, studio_of: Open, tmp_path: Path
) -> None:
    async def finish_all_the_same(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Progress(wanted.job, 0, 8)
        await engine.cancellation.wait()
        yield finished(engine.data, wanted.job, b"too late")

    job = await queued(jobs)
    studio = studio_of(finish_all_the_same)
    async with studio.open():
        await studio.until(says(studio, job, "0/8"))
        assert await studio.dispatcher.cancel(job)
        [ended] = await studio.deliveries(1)
    assert ended.state == "cancelled"
    assert kept(tmp_path) == []


async def test_cancel_that_was_said_while_the_pictures_are_taken_over_holds(
    jobs: Jobs, studio_of: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = await queued(jobs, request(), reply())
    studio = studio_of(paint)
    finish = jobs.finish

    async def cancelled_meanwhile(result: Finished, *others: Any) -> Job | None:
        assert await studio.dispatcher.cancel(job)
        return await finish(result, *others)

    monkeypatch.setattr(jobs, "finish", cancelled_meanwhile)
    async with studio.open():
        [late] = await studio.deliveries(1)
    assert late.state == "cancelled"
    assert kept(tmp_path) == []


async def test_cancel_survives_a_kill_of_the_bot(jobs: Jobs, studio_of: Open) -> None:
    job = await queued(jobs)
    await jobs.start([job.id])
    await jobs.cancel(job.id)
    studio = studio_of(paint)
    async with studio.open():
        [ended] = await studio.deliveries(1)
    assert ended.state == "cancelled"
    assert studio.engine.batches == []


async def test_deleted_job_is_stopped_and_its_result_is_not_kept(jobs: Jobs, studio_of: Open, tmp_path: Path) -> None:
    async def finish_all_the_same(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Progress(wanted.job, 0, 8)
        if wanted.job == job.id:
            await engine.cancellation.wait()
        yield finished(engine.data, wanted.job, b"a picture")

    job = await queued(jobs)
    studio = studio_of(finish_all_the_same)
    async with studio.open():
        await studio.until(says(studio, job, "0/8"))
        await studio.dispatcher.delete(job)
        await studio.dispatcher.delete(job)
        other = await queued(jobs)
        studio.dispatcher.put(other)
        [done] = await studio.deliveries(1)
    assert done.id == other.id
    assert await jobs.find(job.id) is None
    assert kept(tmp_path) == [b"a picture"]
    assert studio.engine.cancelled == {job.id}


@pytest.mark.parametrize("method", ["start", "finish"])
@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("database is locked"), OSError(errno.ENOSPC, "No space left on device")]
)
async def test_full_disk_and_locked_database_are_waited_for(
    jobs: Jobs,
    studio_of: Open,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    error: Exception,
) -> None:
    monkeypatch.setattr(database_module, "RETRY_AFTER_S", (0.0,))
    write, tries = getattr(jobs, method), 0

    async def fail_at_first(*given: object) -> object:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise error
        return await write(*given)

    monkeypatch.setattr(jobs, method, fail_at_first)
    await queued(jobs)
    studio = studio_of(paint)
    async with studio.open():
        [done] = await studio.deliveries(1)
    assert done.state == "finished"
    assert sum("trying again until it succeeds" in record.message for record in caplog.records) == 1
    assert "after 3 more tries" in caplog.text


async def test_database_that_cannot_be_written_any_more_ends_the_bot_in_one_line(
    jobs: Jobs, studio_of: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(job_ids: list[int]) -> None:
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise error

    monkeypatch.setattr(jobs, "start", fail)
    await queued(jobs)
    studio = studio_of(paint)
    await studio.dispatcher.resume()
    with pytest.raises(ExceptionGroup) as raised:
        await studio.dispatcher.run()
    assert raised.group_contains(OperatorError, match="readonly")


async def test_error_that_nobody_foresaw_fails_the_job_and_not_the_bot(jobs: Jobs, studio_of: Open) -> None:
    async def stumble(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if wanted.job == first.id:
            raise ValueError("a bug")
        async for event in paint(engine, wanted):
            yield event

    first, second = await queued(jobs), await queued(jobs)
    studio = studio_of(stumble)
    async with studio.open():
        ended = {job.id: job for job in await studio.deliveries(2)}
    assert ended[first.id].state == "failed"
    assert "try again" in failure(ended[first.id])
    assert ended[second.id].state == "finished"


async def test_result_that_somebody_removed_fails_the_job_in_words(jobs: Jobs, studio_of: Open) -> None:
    async def lose(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        result = finished(engine.data, wanted.job, b"a picture")
        for file in (engine.data / "incoming").iterdir():
            file.unlink()
        yield result

    await queued(jobs)
    studio = studio_of(lose)
    async with studio.open():
        [ended] = await studio.deliveries(1)
    assert (ended.state, failure(ended)) == ("failed", "The result got lost on its way: try again.")


async def test_places_and_estimates_are_told_to_the_next_ones(jobs: Jobs, studio_of: Open, tmp_path: Path) -> None:
    done = await queued(jobs)
    await jobs.start([done.id])
    await jobs.finish(finished(tmp_path, done.id, seconds=2.0))
    first, second = await queued(jobs), await queued(jobs)
    studio = studio_of(never_end)
    async with studio.open():
        await studio.until(says(studio, first, "0/8"))
        await studio.until(says(studio, second, "next in the queue · ready <t:"))
        runs, waits = studio.dispatcher.standing(first.id), studio.dispatcher.standing(second.id)
        assert runs is not None
        assert runs.place is None
        assert runs.progress is not None
        assert waits is not None
        assert waits.place == 1
        assert waits.ready_at is not None
        assert studio.dispatcher.standing(done.id) is None
    assert "place 2 in the queue" in str(studio.dispatcher.card(await queued(jobs)).view.to_components())


async def test_estimates_count_the_share_of_those_before_and_the_pass_of_ones_own(jobs: Jobs, tmp_path: Path) -> None:
    """Three jobs of one picture and one of two share a pass of ten seconds: a picture costs those behind two of them.

    Ten seconds for each of these jobs are eight for each of their pictures, which is how long one's own will take.
    """

    async def ten_seconds(_: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield finished(tmp_path, wanted.job, f"picture of job {wanted.job}".encode(), seconds=10.0)

    async def estimates(dispatcher: Dispatcher) -> list[str]:
        cards = [dispatcher.card(await queued(jobs))]
        for _ in range(3):
            dispatcher.put(await queued(jobs))
        cards.append(dispatcher.card(await queued(jobs)))
        return re.findall(r"ready <t:(\d+):R>", str([card.view.to_components() for card in cards]))

    for count in (1, 1, 2, 1):
        await queued(jobs, request(count=count))
    studio = Studio(jobs, ScriptedEngine(ten_seconds, tmp_path, capacity=5), clock=lambda: 1000.0)
    async with studio.open():
        done = await studio.deliveries(4)
    assert studio.engine.batches == [[1, 2, 3, 4]]
    assert {job.seconds for job in done} == {10.0}
    assert await estimates(studio.dispatcher) == ["1008", "1014"]
    for job in await jobs.in_state("queued"):
        await jobs.delete(job.id)
    restarted = Studio(jobs, studio.engine, clock=lambda: 1000.0)
    await restarted.dispatcher.resume()
    assert await estimates(restarted.dispatcher) == ["1008", "1014"]


class Held:
    """A script in which each job comes so far and ends when it is let."""

    def __init__(self, *stages: Progress) -> None:
        self._stages = stages
        self._let: dict[int, asyncio.Event] = {}

    def let(self, job: Job) -> None:
        self._let.setdefault(job.id, asyncio.Event()).set()

    async def __call__(self, engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        for stage in self._stages:
            yield Progress(wanted.job, stage.step, stage.steps, stage.stage)
        await self._let.setdefault(wanted.job, asyncio.Event()).wait()
        yield finished(engine.data, wanted.job, f"picture of job {wanted.job}".encode())


async def settled(jobs: Jobs) -> None:
    """Wait until whoever could have gone on has: what is sent has been written down first, in the same line."""
    for _ in range(40):
        await jobs.find(1)


FINISHING = Progress(0, 8, 8, "finishing")


async def test_next_batch_is_sent_while_results_are_written_and_no_further_one(jobs: Jobs, studio_of: Open) -> None:
    script = Held(FINISHING)
    one, two, three = [await queued(jobs, request(), reply(member)) for member in range(3)]
    studio = studio_of(script)
    async with studio.open():
        await studio.until(lambda: studio.engine.batches == [[one.id], [two.id]])
        await settled(jobs)
        newcomer = await queued(jobs, request(), reply(9))
        studio.dispatcher.put(newcomer)
        await settled(jobs)
        assert studio.engine.batches == [[one.id], [two.id]]
        assert {job.id for job in await jobs.in_state("running")} == {one.id, two.id}
        for job in (one, two, three, newcomer):
            script.let(job)
        assert {job.state for job in await studio.deliveries(4)} == {"finished"}
    assert studio.engine.batches == [[one.id], [two.id], [three.id], [newcomer.id]]


async def test_next_batch_is_not_sent_before_all_of_the_one_before_need_the_device_no_more(
    jobs: Jobs, studio_of: Open
) -> None:
    async def finish_the_first(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if wanted.job == one.id:
            yield Progress(one.id, 8, 8, "finishing")
            yield finished(engine.data, one.id)
        else:
            yield Progress(wanted.job, 1, 8)
            await engine.cancellation.wait()
            yield finished(engine.data, wanted.job)

    one, two, other = await queued(jobs), await queued(jobs), await queued(jobs, request(steps=9), reply(2))
    studio = studio_of(finish_the_first, capacity=2)
    async with studio.open():
        await studio.deliveries(1)
        await settled(jobs)
        assert studio.engine.batches == [[one.id, two.id]]
        studio.engine.cancellation.set()
        await studio.deliveries(3)
    assert studio.engine.batches == [[one.id, two.id], [other.id]]


@pytest.mark.parametrize("place", [0, 1], ids=["before another", "after another"])
async def test_who_has_ended_the_engine_once_is_there_with_nobody(jobs: Jobs, studio_of: Open, place: int) -> None:
    script = Held(FINISHING)
    both = [await queued(jobs, request(), reply(member)) for member in range(2)]
    await jobs.start([both[place].id])
    await jobs.requeue([both[place].id], {both[place].id})
    studio = studio_of(script, capacity=2)
    async with studio.open():
        await studio.until(lambda: studio.engine.batches == [[both[0].id]])
        await settled(jobs)
        assert studio.engine.batches == [[both[0].id]]
        script.let(both[0])
        script.let(both[1])
        await studio.deliveries(2)
    assert studio.engine.batches == [[both[0].id], [both[1].id]]


async def test_death_while_a_result_is_written_gives_both_batches_back(jobs: Jobs, studio_of: Open) -> None:
    async def die_of_the_second(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        yield Progress(wanted.job, 8, 8, "finishing")
        if not engine.deaths and wanted.job == two.id:
            death.append(engine.die(two.id))
            engine.cancellation.set()
        if not engine.deaths:
            await engine.cancellation.wait()
        if wanted.job in unlucky:
            unlucky.discard(wanted.job)
            raise death[0]
        yield finished(engine.data, wanted.job, f"picture of job {wanted.job}".encode())

    one, two = [await queued(jobs, request(), reply(member)) for member in range(2)]
    unlucky, death = {one.id, two.id}, list[EngineDied]()
    studio = studio_of(die_of_the_second)
    async with studio.open():
        done = {job.id: (job.state, job.attempts) for job in await studio.deliveries(2)}
    assert done == {one.id: ("finished", 0), two.id: ("finished", 1)}


async def test_job_that_comes_while_a_pass_is_loaded_joins_it_where_it_has_places(jobs: Jobs, studio_of: Open) -> None:
    script = Held(Progress(0, 0, 8, "loading"))
    one = await queued(jobs, request(), reply(1))
    studio = studio_of(script, capacity=3)
    async with studio.open():
        await studio.until(says(studio, one, "loading the model"))
        large, other = await queued(jobs, request(count=3), reply(2)), await queued(jobs, request(steps=9), reply(3))
        rider = await queued(jobs, request(count=2), reply(4))
        late = await queued(jobs, request(), reply(5))
        for job in (large, other, rider, late):
            studio.dispatcher.put(job)
        await studio.until(lambda: studio.engine.batches == [[one.id], [rider.id]])
        await settled(jobs)
        assert studio.engine.batches == [[one.id], [rider.id]], "others do not fit"
        for job in (one, large, other, rider, late):
            script.let(job)
        done = {job.id: job for job in await studio.deliveries(5)}
    assert {job.state for job in done.values()} == {"finished"}
    of_pass = {row["id"]: row["share"] for row in await jobs._database.rows("SELECT id, share FROM job")}
    assert (of_pass[one.id], of_pass[rider.id]) == (1 / 3, 2 / 3)


async def test_nobody_joins_a_pass_that_has_begun(jobs: Jobs, studio_of: Open) -> None:
    script = Held(Progress(0, 0, 8))
    one = await queued(jobs, request(), reply(1))
    studio = studio_of(script, capacity=3)
    async with studio.open():
        await studio.until(says(studio, one, "0/8"))
        other = await queued(jobs, request(), reply(2))
        studio.dispatcher.put(other)
        await settled(jobs)
        assert studio.engine.batches == [[one.id]]
        script.let(one)
        script.let(other)
        await studio.deliveries(2)
    assert studio.engine.batches == [[one.id], [other.id]]


async def test_cancelled_rider_leaves_the_pass_to_the_others(jobs: Jobs, studio_of: Open) -> None:
    script = Held(Progress(0, 0, 8, "loading"))
    one = await queued(jobs, request(), reply(1))
    studio = studio_of(script, capacity=3)
    async with studio.open():
        await studio.until(says(studio, one, "loading the model"))
        rider = await queued(jobs, request(), reply(2))
        studio.dispatcher.put(rider)
        await studio.until(says(studio, rider, "loading the model"))
        assert await studio.dispatcher.cancel(rider)
        script.let(one)
        script.let(rider)
        done = {job.id: job.state for job in await studio.deliveries(2)}
    assert done == {one.id: "finished", rider.id: "cancelled"}
    assert studio.engine.cancelled == {rider.id}


@pytest.mark.parametrize(
    ("paid", "sent", "within_s", "state"),
    [
        (True, True, 60.0, "finished"),
        (True, True, 0.0, "queued"),
        (True, False, 60.0, "queued"),
        (False, True, 60.0, "queued"),
    ],
)
async def test_what_may_be_paid_is_waited_for_when_the_bot_is_to_stop(
    jobs: Jobs,
    studio_of: Open,
    monkeypatch: pytest.MonkeyPatch,
    paid: bool,
    sent: bool,
    within_s: float,
    state: str,
) -> None:
    monkeypatch.setattr(dispatcher_module, "OUTLAST_S", within_s)
    at_work, painted = asyncio.Event(), asyncio.Event()

    async def slowly(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if sent:
            yield Progress(wanted.job, 0, 1)
        at_work.set()
        await painted.wait()
        yield finished(engine.data, wanted.job, b"a house")

    job = await queued(jobs, request(), reply())
    studio = studio_of(slowly)
    studio.engine.lanes[0].paid = paid
    await studio.dispatcher.resume()
    running = asyncio.create_task(studio.dispatcher.run())
    await at_work.wait()
    running.cancel()
    done, _ = await asyncio.wait((running,), timeout=0.2)
    assert bool(done) is (state == "queued")
    painted.set()
    await asyncio.wait((running,))
    assert running.cancelled()
    assert (await stored(jobs, job.id)).state == state
    assert [one.id for one in studio.delivered] == ([job.id] if state == "finished" else [])
