"""From the queue through the engine to delivery, with a real database and an engine that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from unittest.mock import create_autospec

import pytest

from bot import dispatcher as dispatcher_module
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.errors import EngineDied
from bot.jobs import Job, Jobs
from bot.pictures import sha256_of
from bot.queue import Queue
from inference.protocol import (
    Answer,
    Classify,
    Event,
    Failed,
    Finished,
    Imagine,
    Input,
    LabelShare,
    Picture,
    Progress,
    Ready,
    Request,
)
from tests.bot.conftest import ready, reply, request

Script = Callable[["ScriptedEngine", Request], AsyncIterator[Event]]


class ScriptedEngine:
    """An engine in this process: what it does with a request is up to the test."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.starts = 0
        self.batches: list[list[int]] = []
        self.files: list[dict[str, bytes]] = []
        self.cancelled: set[int] = set()
        self.cancellation = asyncio.Event()

    @property
    def ready(self) -> Ready:
        return ready()

    async def start(self) -> None:
        self.starts += 1

    async def run(self, requests: Sequence[Request], files: Mapping[str, bytes]) -> AsyncIterator[Event]:
        self.batches.append([request.job for request in requests])
        self.files.append(dict(files))
        for asked in requests:
            async for event in self.script(self, asked):
                yield event

    async def cancel(self, job_id: int) -> None:
        self.cancelled.add(job_id)
        self.cancellation.set()

    async def close(self) -> None:
        pass


async def paint(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
    assert isinstance(asked, Imagine)
    yield Progress(asked.job, 1, asked.steps)
    picture = Picture(data=f"picture of {asked.prompt}".encode(), width=64, height=64, seed=asked.seed)
    yield Finished(job=asked.job, pictures=(picture,), recipe={}, seconds=0.5)


class Studio:
    """A dispatcher with everything around it, and what it has delivered."""

    def __init__(self, jobs: Jobs, script: Script) -> None:
        self.jobs = jobs
        self.engine = ScriptedEngine(script)
        self.queue, self.quick_queue = Queue(lambda _: 1), Queue(lambda _: 1)
        self.delivery = create_autospec(Delivery, spec_set=True, instance=True)
        self.delivery.headline.return_value = "a red house"
        self.delivered: list[Job] = []
        self.arrival = asyncio.Event()
        self.delivery.deliver.side_effect = self._deliver
        self.dispatcher = Dispatcher(
            jobs, self.queue, self.quick_queue, self.engine, self.delivery, max_waiting=10, max_waiting_per_member=5
        )

    def _deliver(self, job: Job) -> None:
        self.delivered.append(job)
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
        while len(self.delivered) < count:
            self.arrival.clear()
            await self.arrival.wait()
        return self.delivered


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "RESTART_AFTER_S", (0.0,))


async def test_queued_job_is_painted_and_delivered(jobs: Jobs) -> None:
    await jobs.submit(request("a red house"), reply())
    studio = Studio(jobs, paint)
    async with studio.open():
        [job] = await studio.deliveries(1)
    assert job.state == "finished"
    assert await jobs.picture_bytes(job) == [b"picture of a red house"]


async def test_job_that_was_running_when_the_bot_was_killed_runs_again_with_the_same_seed(jobs: Jobs) -> None:
    job = await jobs.submit(request(seed=42), reply())
    await jobs.start([job.id])
    studio = Studio(jobs, paint)
    async with studio.open():
        [again] = await studio.deliveries(1)
    assert (again.id, again.state, again.pictures[0].seed) == (job.id, "finished", 42)


async def test_finished_but_undelivered_job_is_delivered_at_the_next_start(jobs: Jobs) -> None:
    job = await jobs.submit(request(), reply())
    await jobs.fail(job.id, "out_of_memory", "Too large.")
    studio = Studio(jobs, paint)
    async with studio.open():
        [late] = await studio.deliveries(1)
    assert (late.id, late.failure_message) == (job.id, "Too large.")
    assert studio.engine.batches == []


async def test_job_that_stops_the_engine_twice_is_set_aside_and_the_others_go_on(jobs: Jobs) -> None:
    async def die_of_the_first(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
        if asked.prompt == "poison":
            raise EngineDied("gone")
        async for event in paint(engine, asked):
            yield event

    poison = await jobs.submit(request("poison"), reply(1))
    await jobs.submit(request("a blue boat"), reply(2))
    studio = Studio(jobs, die_of_the_first)
    async with studio.open():
        delivered = {job.request.prompt: job for job in await studio.deliveries(2)}
    assert delivered["a blue boat"].state == "finished"
    assert delivered["poison"].state == "failed"
    assert "stopped the engine 2 times" in (delivered["poison"].failure_message or "")
    assert sum(poison.id in batch for batch in studio.engine.batches) == 2


async def test_stopping_the_bot_puts_the_running_job_back_without_blame(jobs: Jobs) -> None:
    started = asyncio.Event()

    async def never_end(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
        started.set()
        await asyncio.Event().wait()
        yield Progress(asked.job, 0, 1)

    job = await jobs.submit(request(), reply())
    studio = Studio(jobs, never_end)
    async with studio.open():
        await started.wait()
        assert (await jobs.get(job.id)).state == "running"
    assert ((await jobs.get(job.id)).state, (await jobs.get(job.id)).attempts) == ("queued", 0)


async def test_waiting_job_is_cancelled_at_once(jobs: Jobs) -> None:
    job = await jobs.submit(request(), reply())
    studio = Studio(jobs, paint)
    await studio.dispatcher.resume()
    assert await studio.dispatcher.cancel(job)
    assert [late.state for late in studio.delivered] == ["cancelled"]
    assert not await studio.dispatcher.cancel(job)


async def test_running_job_is_cancelled_by_the_engine(jobs: Jobs) -> None:
    started = asyncio.Event()

    async def paint_until_cancelled(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
        started.set()
        await engine.cancellation.wait()
        yield Failed(asked.job, "cancelled", "Cancelled.")

    job = await jobs.submit(request(), reply())
    studio = Studio(jobs, paint_until_cancelled)
    async with studio.open():
        await started.wait()
        assert await studio.dispatcher.cancel(job)
        [late] = await studio.deliveries(1)
    assert late.state == "cancelled"


def question(image: bytes = b"boat") -> Classify:
    """A quick request on a picture of these bytes."""
    return Classify(
        job=0, model="clip", image=Input(sha256_of(image), 64, 64), labels=("boat", "house"), templates=("{}",)
    )


async def test_quick_job_does_not_wait_for_a_slow_one(jobs: Jobs) -> None:
    answered = asyncio.Event()

    async def answer_at_once_and_paint_later(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
        if isinstance(asked, Classify):
            answer = Answer(labels=(LabelShare("boat", 0.9), LabelShare("house", 0.1)))
            yield Finished(job=asked.job, pictures=(), recipe={}, seconds=0.1, answer=answer)
        else:
            await answered.wait()
            async for event in paint(engine, asked):
                yield event

    slow = await jobs.submit(request(), reply(1))
    quick = await jobs.submit(question(), reply(1), files=[b"boat"])
    studio = Studio(jobs, answer_at_once_and_paint_later)
    async with studio.open():
        [first] = await studio.deliveries(1)
        assert first.id == quick.id
        assert [fit.label for fit in first.answer.labels] == ["boat", "house"]
        answered.set()
        assert [job.id for job in await studio.deliveries(2)] == [quick.id, slow.id]


async def test_engine_gets_the_inputs_of_its_requests(jobs: Jobs) -> None:
    async def answer(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
        yield Finished(job=asked.job, pictures=(), recipe={}, seconds=0.1)

    await jobs.submit(question(b"a boat"), reply(), files=[b"a boat"])
    studio = Studio(jobs, answer)
    async with studio.open():
        await studio.deliveries(1)
    assert studio.engine.files == [{sha256_of(b"a boat"): b"a boat"}]


async def test_job_whose_input_was_removed_by_hand_fails_in_words(jobs: Jobs) -> None:
    await jobs.submit(question(), reply())
    studio = Studio(jobs, paint)
    async with studio.open():
        [job] = await studio.deliveries(1)
    assert (job.state, job.failure_kind) == ("failed", "invalid_input")
    assert "upload it again" in (job.failure_message or "")


async def test_death_under_both_queues_starts_the_engine_once_and_loses_nothing(jobs: Jobs) -> None:
    waiting = asyncio.Barrier(2)

    async def die_once(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
        if not engine.starts:
            await waiting.wait()
            raise EngineDied("gone")
        if isinstance(asked, Classify):
            yield Finished(job=asked.job, pictures=(), recipe={}, seconds=0.1)
        else:
            async for event in paint(engine, asked):
                yield event

    await jobs.submit(request(), reply(1))
    await jobs.submit(question(), reply(2), files=[b"boat"])
    studio = Studio(jobs, die_once)
    async with studio.open():
        delivered = await studio.deliveries(2)
    assert {job.state for job in delivered} == {"finished"}
    assert studio.engine.starts == 1


async def test_quick_job_that_stopped_the_engine_runs_again_among_the_slow_ones(jobs: Jobs) -> None:
    job = await jobs.submit(question(), reply(), files=[b"boat"])
    await jobs.start([job.id])
    studio = Studio(jobs, paint)
    await studio.dispatcher.resume()
    assert (len(studio.queue), len(studio.quick_queue)) == (1, 0)


async def test_engine_failure_reaches_the_member_in_words(jobs: Jobs) -> None:
    async def fail(engine: ScriptedEngine, asked: Request) -> AsyncIterator[Event]:
        yield Failed(asked.job, "out_of_memory", "Try 64x64.")

    await jobs.submit(request(), reply())
    studio = Studio(jobs, fail)
    async with studio.open():
        [job] = await studio.deliveries(1)
    assert (job.state, job.failure_kind, job.failure_message) == ("failed", "out_of_memory", "Try 64x64.")
