"""The engine killed at every stage, hanging, stopped, dying idle or of a poisonous job."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import get_args

from benchmarks.faults.crowd import Crowd, an_evening
from benchmarks.faults.judge import Verdict, judge
from benchmarks.faults.painter import HANG, POISON, Plan, Stage
from benchmarks.faults.trial import QUIET_WITHIN_S, Trial

SILENCE_S = 2.0
SOUND = Plan(step_s=0.02)
STAGES: tuple[Stage, ...] = tuple(stage for stage in get_args(Stage) if stage != "start")
"""An engine that dies before it is ready at the bot's own start ends the bot: see `restarts`."""


async def dies(seed: int, stage: Stage, nth: int) -> Verdict:
    """The first engine dies at this stage, and the next two while they start."""
    deaths = (Plan(step_s=0.02, dies_at=stage, nth=nth), Plan(dies_at="start"), Plan(dies_at="ready"))
    async with Trial() as trial:
        await trial.start(engines=(*deaths, SOUND))
        await an_evening(trial, Crowd(trial, seed))
        return await _judged(trial)


async def hangs(seed: int, stage: Stage, nth: int) -> Verdict:
    """The first engine says nothing any more from this stage on."""
    async with Trial(easel_engine_silence_s=SILENCE_S) as trial:
        await trial.start(engines=(Plan(step_s=0.02, hangs_at=stage, nth=nth), SOUND))
        await an_evening(trial, Crowd(trial, seed))
        return await _judged(trial)


async def stopped(seed: int, times: int = 2) -> Verdict:
    """The engine is stopped with SIGSTOP while it works, which no event tells."""
    async with Trial(easel_engine_silence_s=SILENCE_S) as trial:
        await trial.start(engines=(Plan(step_s=0.1),))
        crowd = Crowd(trial, seed)
        evening = asyncio.create_task(an_evening(trial, crowd))
        for _ in range(times):
            await asyncio.sleep(0.5 + crowd.rng.random())
            for pid in trial.engine_pids():
                os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(SILENCE_S * 2)
        await evening
        return await _judged(trial)


async def dies_idle(seed: int, times: int = 3) -> Verdict:
    """The engine is killed when it has nothing to do, then asked for something."""
    async with Trial() as trial:
        await trial.start()
        crowd = Crowd(trial, seed)
        for _ in range(times):
            for pid in trial.engine_pids():
                os.kill(pid, signal.SIGKILL)
            await crowd.imagine()
            await trial.quiet()
        return judge(trial, _deaths(trial))


async def poison(seed: int, many: int = 3) -> Verdict:
    """Some jobs end every engine that works on them, or hang it; nobody else's may fail for that."""
    async with Trial(easel_engine_silence_s=SILENCE_S) as trial:
        await trial.start(engines=(SOUND,))
        crowd = Crowd(trial, seed)

        async def bad(word: str) -> None:
            if (card := await crowd.imagine(f"a {word} of number {crowd.rng.random()}")) is not None:
                trial.may_fail.add(card.job)

        async with asyncio.TaskGroup() as tasks:
            for number in range(many):
                tasks.create_task(bad(HANG if number % 3 == 2 else POISON))
            tasks.create_task(an_evening(trial, crowd, many=10))
        # Each is tried twice, with a pause between the engines.
        verdict = await _judged(trial, within_s=60.0 + many * 20.0)
        for job, state in trial.rows("SELECT id, state FROM job WHERE request LIKE '%poison%' AND state = 'finished'"):
            verdict.wrong += 1
            verdict.notes.append(f"job {job} is poison and {state}")
        return verdict


async def _judged(trial: Trial, within_s: float = QUIET_WITHIN_S) -> Verdict:
    """Judge after the next start: what a dead engine has left behind is swept then."""
    await trial.quiet(within_s)
    deaths = _deaths(trial)
    await trial.stop()
    await trial.start(engines=(SOUND,))
    await trial.quiet()
    return judge(trial, deaths)


def _deaths(trial: Trial) -> int:
    return trial.log.read_text().count("; starting it again")
