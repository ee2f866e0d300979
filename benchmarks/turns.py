"""What the queue's order comes to: changes of model, and a newcomer behind another member's jobs. Counts, no times."""

from __future__ import annotations

from itertools import pairwise

from benchmarks.beside import Row, counted
from bot.job import Job, Reply
from bot.queue import Queue
from inference.protocol import Imagine


async def measure() -> list[Row]:
    """By the real queue, beside serving each in turn."""
    mixed = [job(number, number % 8, "sd15" if number % 2 else "sdxl") for number in range(40)]
    waiting = Queue(lambda _: 1)
    for one in mixed:
        waiting.put(one)
    plain = [one.request.model for one in waiting.in_order()]
    taken = [one.request.model for _ in mixed for one in await waiting.next_batch()]
    backlog = Queue(lambda _: 1)
    for number in range(50):
        backlog.put(job(number, 1, "sd15"))
    await backlog.next_batch()
    newcomer = job(100, 2, "sdxl")
    backlog.put(newcomer)
    turns = 1
    while newcomer not in await backlog.next_batch():
        turns += 1
    return [
        counted("changes of model in 40 mixed jobs of 8 members", None, "times", changes(taken), changes(plain)),
        counted("turns until a newcomer's, behind 50 jobs", 0.1, "turns", turns, 50),
    ]


def job(number: int, member: int, model: str) -> Job:
    """A waiting job that is in no database."""
    request = Imagine(
        job=number, model=model, prompt="", seed=0, steps=8, guidance=3.0, sampler="Euler a", width=64, height=64
    )
    reply = Reply(member, None, 1, None, "", 0.0, 0)
    return Job(number, request, "queued", 0, reply, 1e12)


def changes(models: list[str]) -> int:
    """How often the next one is another."""
    return sum(before != after for before, after in pairwise(models))
