"""Members, jobs and engines of a fleet, before the real queue, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from bot.job import Job, Reply
from bot.queue import Queue
from inference.protocol import Imagine, Request, Work


@dataclass(frozen=True)
class Kind:
    """One kind of job: how often it is asked for, and how long it keeps an engine busy."""

    model: str
    share: float
    """Of all jobs."""
    seconds: tuple[float, ...]
    """As measured; each job takes one of them, by chance."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What members ask for in an hour of the evening."""

    kinds: tuple[Kind, ...]
    members: int
    """Who may ask at all."""
    jobs_per_hour: float
    """Of all of them together."""
    burst: float = 1.5
    """How many jobs a member asks for at once, on average."""
    hours: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What answers them."""

    engines: int
    load_s: float
    """To load a model that an engine does not hold."""
    held: int = 1
    """How many models an engine holds at a time."""
    batch: int = 1
    """How many alike ride together, at the price of one."""


@dataclass
class Outcome:
    """What came of it."""

    waits_s: list[float] = field(default_factory=list)
    """From the asking to the turn, of every job that was asked for in the time that counts."""
    first_waits_s: list[float] = field(default_factory=list)
    """The same of those who had no other job waiting or running."""
    busy_s: float = 0.0
    loads: int = 0
    lasted_s: float = 0.0
    order: list[int] = field(default_factory=list)
    """The jobs as they were taken."""


class Engine:
    """A lane of the fleet, as the queue sees it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._held: OrderedDict[str, None] = OrderedDict()

    def takes(self, request: Work) -> bool:
        """Every engine of the fleet can do everything."""
        return True

    def turn(self) -> contextlib.nullcontext[None]:
        """Nobody else uses it."""
        return contextlib.nullcontext()

    def capacity(self, request: Request) -> int:
        """How many alike ride together."""
        return self._fleet.batch

    def loading_s(self, model: str) -> float:
        """How long it takes until the model is there, which then is."""
        is_here = model in self._held
        self._held[model] = None
        self._held.move_to_end(model)
        while len(self._held) > self._fleet.held:
            self._held.popitem(last=False)
        return 0.0 if is_here else self._fleet.load_s


@dataclass(frozen=True)
class Asked:
    """One job of the demand."""

    at_s: float
    job: Job
    seconds: float


def demand(wanted: Demand, seed: int) -> Sequence[Asked]:
    """All jobs of these hours, in their order: members come by chance, each with a few jobs."""
    chance = random.Random(seed)
    weights = [kind.share for kind in wanted.kinds]
    asked: list[Asked] = []
    numbers = count(1)
    at_s = 0.0
    while (at_s := at_s + chance.expovariate(wanted.jobs_per_hour / wanted.burst / 3600)) < wanted.hours * 3600:
        member = chance.randrange(wanted.members)
        # What one asks for at once is mostly of one kind.
        [kind] = chance.choices(wanted.kinds, weights)
        for _ in range(_burst(chance, wanted.burst)):
            number = next(numbers)
            asked.append(Asked(at_s, job(number, member, kind.model, at_s), chance.choice(kind.seconds)))
    return asked


def job(number: int, member: int, model: str, at_s: float) -> Job:
    """A waiting job of this member. No two can share a forward pass but those of one model."""
    request = Imagine(
        job=number,
        model=model,
        prompt="",
        seed=number,
        steps=20,
        guidance=4.0,
        sampler="Euler",
        width=512,
        height=512,
    )
    return Job(number, request, "queued", 0, Reply(member, None, 0, 0, "", 0.0, 0), at_s)


def _burst(chance: random.Random, mean: float) -> int:
    """At least 1, so many on average."""
    size = 1
    while chance.random() < 1 - 1 / mean:
        size += 1
    return size


async def simulate(asked: Sequence[Asked], fleet: Fleet, *, from_s: float = 0.0) -> Outcome:
    """Let the fleet work all of it off; only jobs that were asked for later than `from_s` count. For `virtual.run`."""
    loop = asyncio.get_running_loop()
    # Nobody is served at 0, which is what the queue takes for never.
    queue = Queue(clock=lambda: loop.time() + 1.0)
    outcome = Outcome()
    seconds = {one.job.id: one.seconds for one in asked}
    open_of: dict[int, int] = {}
    is_first: set[int] = set()
    left = len(asked)
    done = asyncio.Event()

    async def arrive() -> None:
        for one in asked:
            # What is asked for at once is there before anybody has a turn.
            if (early_s := one.at_s - loop.time()) > 0:
                await asyncio.sleep(early_s)
            member = one.job.reply.member_id
            if not open_of.get(member):
                is_first.add(one.job.id)
            open_of[member] = open_of.get(member, 0) + 1
            queue.put(one.job)

    async def work(engine: Engine) -> None:
        nonlocal left
        while True:
            batch = await queue.next_batch(engine)
            now_s = loop.time()
            for one in batch:
                outcome.order.append(one.id)
                if one.created_at >= from_s:
                    outcome.waits_s.append(now_s - one.created_at)
                    if one.id in is_first:
                        outcome.first_waits_s.append(now_s - one.created_at)
            loading_s = engine.loading_s(batch[0].request.model)
            outcome.loads += loading_s > 0
            busy_s = loading_s + max(seconds[one.id] for one in batch)
            outcome.busy_s += busy_s
            await asyncio.sleep(busy_s)
            for one in batch:
                open_of[one.reply.member_id] -= 1
            left -= len(batch)
            if not left:
                done.set()

    tasks = [asyncio.create_task(arrive()), *(asyncio.create_task(work(Engine(fleet))) for _ in range(fleet.engines))]
    await done.wait()
    outcome.lasted_s = loop.time()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return outcome


def percentiles(values: Sequence[float], *shares: float) -> Iterator[float]:
    """The least value that so large a share does not exceed, for each share; nan where there are none."""
    ordered = sorted(values)
    for share in shares:
        yield ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")
