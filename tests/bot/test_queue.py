"""Whose turn is next."""

from __future__ import annotations

import asyncio
import random

from bot.job import Job
from bot.queue import PATIENCE_S, Queue
from tests.bot.conftest import job


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def queue(capacity: int = 1, served: dict[int, float] | None = None, clock: Clock | None = None) -> Queue:
    return Queue(lambda _: capacity, served, clock=clock or Clock())


async def order(waiting: Queue) -> list[list[int]]:
    batches = []
    while len(waiting):
        batches.append([job.id for job in await waiting.next_batch()])
    return batches


async def test_newcomer_goes_before_first_members_second_job() -> None:
    waiting = queue()
    for number, member in ((1, 1), (2, 1), (3, 1), (4, 2)):
        waiting.put(job(number, member, created_at=999))
    assert [job.id for job in waiting.in_order()] == [1, 4, 2, 3]
    assert await order(waiting) == [[1], [4], [2], [3]]


async def test_member_served_least_recently_goes_first_also_after_a_restart() -> None:
    waiting = queue(served={1: 900.0, 2: 800.0})
    waiting.put(job(1, 1, created_at=999))
    waiting.put(job(2, 2, created_at=999))
    assert await order(waiting) == [[2], [1]]


async def test_who_has_waited_too_long_has_every_second_turn() -> None:
    waiting = queue(clock=Clock(10_000.0))
    for number in range(1, 9):
        waiting.put(job(number, 1, created_at=10_000 - PATIENCE_S - 1))
    for number in range(9, 12):
        waiting.put(job(number, number, created_at=9_999))
    # The backlog gets on, and the last newcomer does not wait for its end.
    assert await order(waiting) == [[number] for number in (1, 2, 9, 3, 10, 4, 11, 5, 6, 7, 8)]


async def test_newcomer_waits_for_few_turns_whatever_the_backlog() -> None:
    clock = Clock()
    waiting = queue(clock=clock)
    for number in range(1, 1001):
        waiting.put(job(number, member_id=number % 50, created_at=0.0))
    clock.now = 2 * PATIENCE_S
    for _ in range(51):
        clock.now += 1
        await waiting.next_batch()
    waiting.put(job(2000, member_id=777, created_at=clock.now))
    turns = [waiting_job.id for _ in range(3) for waiting_job in await waiting.next_batch()]
    assert 2000 in turns


async def test_jobs_that_share_a_forward_pass_ride_along_up_to_its_capacity() -> None:
    waiting = queue(capacity=4)
    waiting.put(job(1, 1, created_at=999))
    waiting.put(job(2, 2, created_at=999, steps=20))
    waiting.put(job(3, 3, created_at=999, prompt="another", seed=9, count=2))
    waiting.put(job(4, 4, created_at=999, count=2))
    waiting.put(job(5, 5, created_at=999))
    assert await order(waiting) == [[1, 3, 5], [2], [4]]


async def test_free_places_go_to_the_members_whose_turn_is_next() -> None:
    waiting = queue(capacity=3, served={1: 500.0})
    for number in range(1, 6):
        waiting.put(job(number, 1, created_at=999))
    waiting.put(job(6, 2, created_at=999))
    assert (await order(waiting))[0] == [6, 1, 2]


async def test_job_that_has_ended_the_engine_rides_with_nobody() -> None:
    waiting = queue(capacity=4)
    waiting.put(job(1, 1, created_at=999, attempts=1))
    waiting.put(job(2, 2, created_at=999))
    waiting.put(job(3, 3, created_at=999))
    assert await order(waiting) == [[1], [2, 3]]


async def test_removed_job_never_gets_its_turn() -> None:
    waiting = queue()
    waiting.put(job(1, created_at=999))
    waiting.put(job(2, created_at=999))
    assert waiting.remove(1)
    assert not waiting.remove(1)
    assert await order(waiting) == [[2]]


async def test_empty_queue_waits_for_the_next_job() -> None:
    waiting = queue()
    batch = asyncio.create_task(waiting.next_batch())
    await asyncio.sleep(0)
    assert not batch.done()
    waiting.put(job(1, created_at=999))
    assert [job.id for job in await batch] == [1]


async def test_place_is_told_before_and_while_a_job_waits() -> None:
    waiting = queue(served={3: 5.0})
    for number, member in ((1, 1), (2, 1), (3, 2)):
        waiting.put(job(number, member, created_at=999))
    # Before them of the first round the newcomers, after them who was served before.
    assert [waiting.next_place(member) for member in (3, 4, 1, 2)] == [3, 3, 4, 4]
    waiting.put(job(4, 3, created_at=999))
    assert [waiting.place(one) for one in waiting.in_order()] == [1, 2, 3, 4]


async def test_work_that_waits_is_counted_by_kind() -> None:
    waiting = queue()
    assert waiting.work == {}
    waiting.put(job(1, width=64, height=64, steps=8))
    waiting.put(job(2, width=64, height=64, steps=8))
    assert waiting.work == {"imagine": 2 * 64 * 64 * 8}
    waiting.remove(1)
    assert waiting.work == {"imagine": 64 * 64 * 8}
    waiting.remove(2)
    assert waiting.work == {}


async def test_order_is_that_of_serving_one_member_after_the_other() -> None:
    """Against the plainest way to say it: look through all that wait, each time."""
    chance = random.Random(7)
    clock = Clock()
    waiting, plain, served = queue(clock=clock), dict[int, Job](), dict[int, float]()
    for number in range(1, 400):
        clock.now += 1
        if plain and chance.random() < 0.45:
            [taken] = await waiting.next_batch()
            assert taken == min(plain.values(), key=lambda one: (served.get(one.reply.member_id, 0.0), one.id))
            served[taken.reply.member_id] = clock.now
            del plain[taken.id]
        elif plain and chance.random() < 0.1:
            gone = chance.choice(list(plain))
            assert waiting.remove(gone)
            del plain[gone]
        else:
            new = job(number, member_id=chance.randrange(12), created_at=clock.now)
            expected = waiting.next_place(new.reply.member_id)
            waiting.put(new)
            plain[number] = new
            assert waiting.place(new) in (expected, expected - 1, expected + 1)
        places = [waiting.place(one) for one in waiting.in_order()]
        assert places == list(range(1, len(plain) + 1))
