"""The bot killed before and after each stage of a job's life, and in the middle of bursts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.faults.crowd import Crowd, an_evening
from benchmarks.faults.judge import Verdict, judge
from benchmarks.faults.painter import Plan
from benchmarks.faults.trial import Trial, until
from benchmarks.faults.victim import STAGES, Kill, When

OFTEN = {
    "commit": 15,
    "row changed": 30,
    "step": 20,
    "card edited": 6,
    "uploading": 6,
    "progress shown": 10,
    "upload read": 2,
    "upload settled": 2,
    "being deleted": 2,
    **dict.fromkeys(("taking up", "taking up arrivals", "tidied", "requeued"), 1),
    **dict.fromkeys(("cancelling", "end written", "withdrawn", "picture removed"), 1),
}
"""Among how many comings of a stage the fatal one is drawn; 4 for the others. Some come once a start, or an evening."""


def plan(seed: int, stages: Sequence[str] = tuple(STAGES), times: int = 1) -> list[Kill]:
    """Before and after each of these stages, so many times, in a seeded order."""
    rng = random.Random(seed)
    sides: tuple[When, ...] = ("before", "after")
    kills = [
        Kill(stage, when, rng.randint(1, OFTEN.get(stage, 4)))
        for _ in range(times)
        for stage in stages
        for when in sides
    ]
    rng.shuffle(kills)
    return kills


async def killed(seed: int, kills: Sequence[Kill], cut: str | None = None) -> Verdict:
    """One evening during which the bot is killed so many times, one after the other."""
    async with Trial() as trial:
        crowd = Crowd(trial, seed)
        orders: list[dict[str, Any]] = [
            {"kill": kill, "cut": cut, "engines": (Plan(step_s=0.02),)} for kill in (*kills, None)
        ]
        living = asyncio.create_task(trial.live(orders))
        while not living.done():
            await an_evening(trial, crowd, many=3)
            if not living.done():
                # The stage has not come as often as it was to: let the next evening begin.
                await asyncio.sleep(0.5)
        await living
        await trial.quiet()
        return judge(trial)


async def burst(seed: int, many: int = 300, kills: int = 1, cut: str | None = None) -> Verdict:
    """So many commands at once, and SIGKILLs at moments drawn from the seed."""
    rng = random.Random(seed)
    async with Trial(members=many) as trial:
        engines = (Plan(batch=4),)
        await trial.start(engines=engines, cut=cut)
        crowd = Crowd(trial, seed)
        names = [f"member-{number + 1}" for number in range(many)]

        async def ask(name: str, number: int) -> None:
            options = {"prompt": f"one of {many}", "seed": str(number)}
            await crowd.persist(lambda: trial.member(name).command("/imagine", options))

        asking = [asyncio.create_task(ask(name, number)) for number, name in enumerate(names)]
        for _ in range(kills):
            told = len(trial.witness.told)
            await until(partial(_told, trial, told + rng.randint(1, max(many - told, 1)), asking), every_s=0.01)
            await trial.kill()
            await trial.start(engines=engines, cut=cut)
        await asyncio.gather(*asking, return_exceptions=True)
        await trial.quiet()
        return judge(trial)


def _told(trial: Trial, many: int, asking: Sequence[asyncio.Task[None]]) -> bool:
    return len(trial.witness.told) >= many or all(task.done() for task in asking)
