"""Whose turn is next."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import pairwise

from bot.job import Job
from bot.queue import PASSED_AT_MOST, PATIENCE_S, Queue
from inference.protocol import Input, Upscale
from tests.bot.conftest import job, reply


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


async def test_jobs_of_the_model_at_work_go_before_others_a_few_times_and_then_no_more() -> None:
    waiting = queue()
    for number in range(1, 21):
        waiting.put(job(number, member_id=number, created_at=999, model="sd15" if number % 2 else "sdxl"))
    turns = [number for [number] in await order(waiting)]
    # Sd15 until sdxl has been passed over so often; then sdxl in its order, and what was left of sd15.
    assert turns[:9] == [1, *(3, 5, 7, 9, 11, 13), 2, 4]
    assert PASSED_AT_MOST == 6


async def test_mixed_models_change_seldom() -> None:
    waiting = queue()
    for number in range(40):
        waiting.put(job(number, member_id=number % 8, created_at=999, model="sd15" if number % 2 else "sdxl"))
    assert changes(await models(waiting)) < 40 // PASSED_AT_MOST


async def test_a_members_own_jobs_change_models_seldom_too_and_each_models_stay_in_order() -> None:
    waiting = queue()
    given = [job(number, created_at=999, model=f"model {number % 3}") for number in range(30)]
    for one in given:
        waiting.put(one)
    taken = [one for _ in given for one in await waiting.next_batch()]
    assert changes([one.request.model for one in taken]) < 29
    for model in {one.request.model for one in given}:
        ids = [one.id for one in taken if one.request.model == model]
        assert ids == sorted(ids)


async def test_nobody_has_a_second_turn_for_a_model_while_somebody_waits_for_the_first() -> None:
    waiting = queue()
    for number in range(1, 51):
        waiting.put(job(number, member_id=1, created_at=999, model="sd15"))
    assert [one.id for one in await waiting.next_batch()] == [1]
    waiting.put(job(100, member_id=2, created_at=999, model="sdxl"))
    waiting.put(job(101, member_id=3, created_at=999, model="sd15"))
    # The third one, whom this round has not served, may go with the model at work; the first one may not.
    assert (await order(waiting))[:3] == [[101], [100], [2]]


async def test_what_paints_nothing_has_its_turn_whatever_model_is_at_work() -> None:
    waiting = queue()
    enlarge = Upscale(job=0, model="x4", image=Input("0" * 64, 64, 64), factor=2)
    waiting.put(job(1, member_id=1, created_at=999))
    waiting.put(Job(2, enlarge, "queued", 0, reply(2), 999))
    for number in range(3, 9):
        waiting.put(job(number, member_id=number, created_at=999, model="starter" if number % 2 else "sdxl"))
    assert (await order(waiting))[:5] == [[1], [2], [3], [5], [7]]


async def test_turns_of_many_members_and_models_are_as_fair_as_rounds() -> None:
    """Chance decides who asks for what; whatever the models, three things hold."""
    chance = random.Random(11)
    clock = Clock()
    waiting = queue(clock=clock)
    turns_since: dict[int, Counter[int]] = {}
    """Of everybody who waits: the turns that others have had since."""
    models_since: dict[int, list[str]] = {}
    """Of the one whose turn it is: what went before."""
    for number in range(3000):
        clock.now += 1
        if len(waiting) == 0 or (len(waiting) < 60 and chance.random() < 0.5):
            new = job(number, chance.randrange(14), clock.now, model=f"model {chance.choice((0, 0, 0, 1, 1, 2))}")
            waiting.put(new)
            turns_since.setdefault(new.reply.member_id, Counter())
            continue
        fair = next(waiting.in_order())
        [taken] = await waiting.next_batch()
        member = taken.reply.member_id
        if taken is fair:
            models_since.clear()
        else:
            # It goes before its turn so that the model need not change, and not too often.
            passed = models_since.setdefault(fair.id, [])
            passed.append(taken.request.model)
            assert set(passed) == {taken.request.model} != {fair.request.model}
            assert len(passed) <= PASSED_AT_MOST
        turns_since.pop(member)
        for others in turns_since.values():
            others[member] += 1
            assert others[member] <= 2, "once in the round that was under way, and once in the next"
        if waiting.count_of(member):
            turns_since[member] = Counter()


async def test_a_job_is_passed_over_by_few_of_each_model_however_many_wait() -> None:
    chance = random.Random(3)
    waiting = queue()
    kinds = 4
    for number in range(400):
        waiting.put(job(number, member_id=number, created_at=999, model=f"model {chance.randrange(kinds)}"))
    plain = [one.id for one in waiting.in_order()]
    later = {number: place for place, [number] in enumerate(await order(waiting))}
    assert max(later[number] - place for place, number in enumerate(plain)) <= PASSED_AT_MOST * kinds


async def models(waiting: Queue) -> list[str]:
    return [one.request.model for _ in range(len(waiting)) for one in await waiting.next_batch()]


def changes(taken: list[str]) -> int:
    return sum(before != after for before, after in pairwise(taken))
