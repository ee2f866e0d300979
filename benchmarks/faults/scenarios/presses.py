"""Everything pressed twice and by several at once; cancelled and deleted at every stage; told to stop in the middle."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal

from benchmarks.faults.crowd import NOT_NOW, Crowd, an_evening, button, ended
from benchmarks.faults.judge import Verdict, judge
from benchmarks.faults.painter import Plan
from benchmarks.faults.trial import Trial, until
from benchmarks.faults.victim import Kill, When
from benchmarks.faults.witness import Shown

RESULT = ("vary", "upscale", "reroll", "edit", "delete")

SLOWED: tuple[tuple[str, When], ...] = (
    ("acknowledged", "after"),
    ("message known", "before"),
    ("upload read", "before"),
    ("upload read", "after"),
    ("upload settled", "before"),
    ("started", "before"),
    ("started", "after"),
    ("sent", "before"),
    ("sent", "after"),
    ("row finished", "before"),
    ("row finished", "after"),
    ("uploading", "before"),
    ("uploading", "after"),
    ("delivered", "before"),
    ("cancelling", "before"),
    ("cancelling", "after"),
)
"""Where a job is held for a moment, so that what its member does falls exactly there. Never after a call that has read
the job: a pause there would make old what the bot uses at once."""


async def double(seed: int) -> Verdict:
    """Each button of a result and of a waiting job, pressed by three people at once, one of them twice."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.1),))
        crowd = Crowd(trial, seed)
        presses = 0
        for action in RESULT:
            card = await crowd.imagine()
            end = await crowd.until(card, ended) if card else None
            if end is not None:
                presses += await _all_press(trial, crowd, end, action)
        card = await crowd.imagine()
        if card is not None:
            trial.pressed_cancel.add(card.job)
            presses += await _all_press(trial, crowd, card, "cancel")
            if (end := await crowd.until(card, ended)) is not None and end.pictures == 0:
                presses += await _all_press(trial, crowd, end, "again")
        await trial.quiet()
        return judge(trial, presses)


async def _all_press(trial: Trial, crowd: Crowd, card: Shown, action: str) -> int:
    if action == "delete":
        trial.deleted.add(card.job)
    message = crowd.message(card)
    if message is None:
        return 0

    async def press(name: str) -> None:
        with contextlib.suppress(*NOT_NOW):
            await trial.member(name).click(message, button(card, action), until="acknowledged")

    names = ("Grace", "Grace", "Ada", "Linus", "Mei", "Barbara")
    await asyncio.gather(*(press(name) for name in names))
    return len(names)


async def at_a_stage(seed: int, what: Literal["cancel", "delete"], stage: str, when: When) -> Verdict:
    """Jobs that are held at this stage for a moment, and cancelled or deleted just then."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.02, batch=1),), slowed=Kill(stage, when), slow_s=0.4)
        crowd = Crowd(trial, seed)

        async def one(number: int) -> None:
            seen = set(trial.witness.told)
            asking = asyncio.create_task(crowd.upload() if number % 3 == 2 else crowd.imagine())
            async with asyncio.timeout(60):
                await until(lambda: trial.witness.told - seen or asking.done(), every_s=0.005)
            await asyncio.sleep(crowd.rng.random() * 0.8)
            card = await asking
            if card is not None:
                current = (trial.witness.of(card.job) or [card])[0]
                await (crowd.cancel(current) if what == "cancel" else crowd.delete_message(current))

        for number in range(6):
            await one(number)
        await trial.quiet()
        return judge(trial, 6)


async def cancelled_and_killed(seed: int, times: int = 3, cut: str | None = None) -> Verdict:
    """The bot is killed right after it has said that a running job and a waiting one are cancelled."""
    engines = (Plan(step_s=0.3, batch=1, deaf=True),)
    async with Trial() as trial:
        await trial.start(engines=engines, cut=cut)
        crowd = Crowd(trial, seed)
        for _ in range(times):
            cards = [card for card in [await crowd.imagine() for _ in range(3)] if card]
            await asyncio.sleep(crowd.rng.random() * 0.5)
            await asyncio.gather(*(crowd.cancel(card) for card in cards[:2]))
            await trial.kill()
            await trial.start(engines=engines, cut=cut)
        await trial.quiet()
        return judge(trial)


async def told_to_stop(seed: int, times: int = 3) -> Verdict:
    """SIGTERM in the middle of everything; the bot must end by itself, with status 0."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.02),))
        crowd = Crowd(trial, seed)
        evening = asyncio.create_task(an_evening(trial, crowd))
        for _ in range(times):
            await asyncio.sleep(0.3 + crowd.rng.random())
            status = await trial.stop()
            trial.kills += 1
            if status:
                trial.crashes.append(f"ended with status {status} on SIGTERM")
            await trial.start(engines=(Plan(step_s=0.02),))
        await evening
        await trial.quiet()
        return judge(trial)


async def second_bot(seed: int) -> Verdict:
    """Another bot is started on the same folder, and must leave it alone."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.02),))
        evening = asyncio.create_task(an_evening(trial, Crowd(trial, seed)))
        for _ in range(2):
            status = await trial.second()
            if status != 2:
                trial.crashes.append(f"let another one onto its folder, which ended with status {status}")
        await evening
        await trial.quiet()
        return judge(trial, 2)
