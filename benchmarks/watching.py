"""`python -m benchmarks.watching`: what it costs that jobs are counted, and what one look at the numbers costs.

The real dispatcher, queue and database run jobs that an engine in this process ends at once: nothing else takes time.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

from prometheus_client import generate_latest

from bot.cards import Card
from bot.database import open_database
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.job import Job, Reply
from bot.jobs import Jobs
from bot.observer import Observer
from bot.pictures.kept import Pictures
from bot.watch.metrics import Metrics
from inference.protocol import Answer, Event, Finished, Imagine, Progress, Ready, Request, Work

JOBS = 100
ROUNDS = 5
STEPS = 20
"""How often each job says that it moved on."""


class _Lane:
    """Ends every job at once, as an engine would."""

    name = "lane"
    quick = False
    paid = False
    is_up = True

    def takes(self, request: Work) -> bool:
        return True

    def turn(self) -> contextlib.nullcontext[None]:
        """Nobody else uses it."""
        return contextlib.nullcontext()

    def capacity(self, request: Request) -> int:
        return 1

    async def up(self) -> bool:
        return True

    async def down(self) -> None:
        await asyncio.Event().wait()

    async def run(self, requests: Sequence[Work]) -> AsyncGenerator[Event, None]:
        for request in requests:
            for step in range(STEPS):
                yield Progress(request.job, step, STEPS)
            yield Progress(request.job, STEPS, STEPS, "finishing")
            yield Finished(job=request.job, pictures=(), recipe={}, seconds=0.0, answer=Answer())


class _Engine:
    conditions = ()

    def __init__(self) -> None:
        self.lanes = [_Lane()]

    @property
    def ready(self) -> Ready:
        # Nothing else is asked of it here.
        return cast(Ready, SimpleNamespace(identity=""))

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
    """In the place of Discord."""

    def __init__(self, observer: Observer) -> None:
        self._left = JOBS
        self._observer = observer
        self.done = asyncio.Event()

    def headline(self, job: Job) -> str:
        return ""

    def show(self, job: Job, card: Callable[[str], Card]) -> None:
        return

    def deliver(self, job: Job) -> None:
        self._observer.delivered(job)
        self._left -= 1
        if not self._left:
            self.done.set()


async def cpu_s(observer: Observer) -> float:
    """The seconds of processor time that one job takes in the bot, with this observer."""
    with TemporaryDirectory() as folder:
        pictures = Pictures(Path(folder))
        pictures.prepare()
        async with open_database(Path(folder) / "easel.sqlite3") as database:
            jobs, mute = Jobs(database, pictures), _Mute(observer)
            dispatcher = Dispatcher(jobs, _Engine(), cast(Delivery, mute), observer=observer)
            for number in range(JOBS):
                reply = Reply(number % 40, 5, 6, 100 + number, "token", 4e9, 10 * 2**20)
                request = Imagine(
                    job=0, model="m", prompt="", seed=0, steps=8, guidance=3.0, sampler="Euler a", width=64, height=64
                )
                arrived = await jobs.arrive(request, reply)
                await jobs.acknowledge(arrived.id, reply.message_id)
            began = time.process_time()
            await dispatcher.resume()
            running = asyncio.create_task(dispatcher.run())
            await mute.done.wait()
            took = time.process_time() - began
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return took / JOBS


async def main() -> None:
    """Print the medians of both, turn by turn, and of one look."""
    metrics = Metrics({"imagine": "imagine"}, ("imagine",))
    plain, counted = [], []
    for _ in range(ROUNDS):
        plain.append(await cpu_s(Observer()))
        counted.append(await cpu_s(metrics))
    looks = []
    for _ in range(50):
        began = time.process_time()
        text = generate_latest(metrics)
        looks.append(time.process_time() - began)
    both = statistics.median(counted) - statistics.median(plain)
    print(f"a job in the bot, median of {ROUNDS} x {JOBS}: {statistics.median(plain) * 1e3:.3f} ms of processor time")
    print(f"the same, counted: {statistics.median(counted) * 1e3:.3f} ms ({both * 1e6:+.0f} us)")
    print(f"of that in the counting itself: {_alone(metrics) * 1e6:.0f} us")
    print(f"one look, median of 50: {statistics.median(looks) * 1e3:.2f} ms, {len(text.splitlines())} lines")


def _alone(metrics: Metrics, times: int = 5000) -> float:
    """What one job's calls take by themselves."""
    request = Imagine(
        job=1, model="m", prompt="", seed=0, steps=8, guidance=3.0, sampler="Euler a", width=64, height=64
    )
    job = Job(1, request, "finished", 0, Reply(1, 5, 6, 7, "token", 4e9, 1), 0.0, seconds=0.1)
    began = time.process_time()
    for _ in range(times):
        metrics.accepted(job)
        metrics.departed((job,))
        for step in range(STEPS):
            metrics.got_on(Progress(1, step, STEPS))
        metrics.got_on(Progress(1, STEPS, STEPS, "finishing"))
        metrics.ended(job)
        metrics.delivered(job)
    return (time.process_time() - began) / times


if __name__ == "__main__":
    asyncio.run(main())
