"""A small case of the simulation, run by the real dispatcher with its database, in real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from benchmarks.fleet.simulation import Asked, Engine, Fleet, Outcome
from bot.cards import Card
from bot.database import open_database
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.job import Job
from bot.jobs import Jobs
from bot.pictures.kept import Pictures
from inference.protocol import Answer, Event, Finished, Ready, Work


class _Lane(Engine):
    """An engine of the simulation, which the dispatcher can use: it sleeps instead of painting."""

    quick = False
    paid = False
    is_up = True

    def __init__(self, fleet: Fleet, name: str, started: Callable[[int], float]) -> None:
        """`started` is told of every job that has its turn, and tells how long it takes."""
        super().__init__(fleet)
        self.name = name
        self._started = started

    async def up(self) -> bool:
        return True

    async def down(self) -> None:
        await asyncio.Event().wait()

    async def run(self, requests: Sequence[Work]) -> AsyncGenerator[Event, None]:
        longest_s = max([self._started(request.job) for request in requests])
        await asyncio.sleep(self.loading_s(requests[0].model) + longest_s)
        for request in requests:
            yield Finished(job=request.job, pictures=(), recipe={}, seconds=longest_s, answer=Answer())


class _Lanes:
    """The dispatcher's engine."""

    conditions = ()

    def __init__(self, lanes: Sequence[_Lane]) -> None:
        self.lanes = lanes

    @property
    def ready(self) -> Ready:
        raise NotImplementedError("nobody asks here what can be done")

    async def lanes_changed(self) -> None:
        await asyncio.Event().wait()

    async def start(self) -> None:
        return

    async def keep(self) -> None:
        return

    async def cancel(self, job_id: int) -> None:
        return

    async def close(self) -> None:
        return


class _Mute:
    """In the place of Discord: counts what has ended."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.done = asyncio.Event()

    def headline(self, job: Job) -> str:
        return ""

    def show(self, job: Job, card: Callable[[str], Card]) -> None:
        return

    def deliver(self, job: Job) -> None:
        self._left -= 1
        if not self._left:
            self.done.set()


async def really(asked: Sequence[Asked], fleet: Fleet) -> Outcome:
    """What `simulation.simulate` does, by the real dispatcher, queue and database."""
    outcome = Outcome()
    seconds: dict[int, float] = {}
    asked_at_s: dict[int, float] = {}

    def started(number: int) -> float:
        outcome.order.append(number)
        outcome.waits_s.append(time.monotonic() - asked_at_s[number])
        return seconds[number]

    with TemporaryDirectory() as folder:
        pictures = Pictures(Path(folder))
        pictures.prepare()
        async with open_database(Path(folder) / "easel.sqlite3") as database:
            jobs = Jobs(database, pictures)
            mute = _Mute(len(asked))
            lanes = [_Lane(fleet, f"lane {number}", started) for number in range(fleet.engines)]
            dispatcher = Dispatcher(jobs, _Lanes(lanes), cast(Delivery, mute))
            running: asyncio.Task[None] | None = None
            began_s = time.monotonic()
            for one in asked:
                if running is None and one.at_s > 0:
                    running = asyncio.create_task(dispatcher.run())
                await asyncio.sleep(max(began_s + one.at_s - time.monotonic(), 0.0))
                arrived = await jobs.arrive(one.job.request, one.job.reply)
                accepted = await jobs.acknowledge(arrived.id, arrived.id)
                assert accepted is not None
                seconds[arrived.id], asked_at_s[arrived.id] = one.seconds, time.monotonic()
                dispatcher.put(accepted)
            running = running or asyncio.create_task(dispatcher.run())
            await mute.done.wait()
            outcome.lasted_s = time.monotonic() - began_s
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return outcome
