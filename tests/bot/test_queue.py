"""Whose turn is next."""

from __future__ import annotations

import asyncio

from bot.queue import PATIENCE_S, Queue
from tests.bot.conftest import job


def queue(capacity: int = 1, served: dict[int, float] | None = None, now: float = 1000.0) -> Queue:
    return Queue(lambda _: capacity, served, clock=lambda: now)


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


async def test_who_has_waited_too_long_goes_first_regardless() -> None:
    waiting = queue(served={1: 999.0}, now=10_000.0)
    waiting.put(job(1, 1, created_at=10_000 - PATIENCE_S - 1))
    waiting.put(job(2, 2, created_at=9_999))
    assert await order(waiting) == [[1], [2]]


async def test_jobs_that_share_a_forward_pass_ride_along_up_to_its_capacity() -> None:
    waiting = queue(capacity=4)
    waiting.put(job(1, 1, created_at=999))
    waiting.put(job(2, 2, created_at=999, steps=20))
    waiting.put(job(3, 3, created_at=999, prompt="another", seed=9, count=2))
    waiting.put(job(4, 4, created_at=999, count=2))
    waiting.put(job(5, 5, created_at=999))
    assert await order(waiting) == [[1, 3, 5], [2], [4]]


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
