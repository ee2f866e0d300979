"""Runs made some at a time, and what has come of them so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.faults.judge import Verdict
from benchmarks.faults.runs import Run
from benchmarks.faults.scenarios import discords, disks, kills, presses
from benchmarks.faults.victim import Kill, When


class Tables:
    """What has come of the runs so far."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.figures: dict[str, Any] = {}

    async def run(self, run: Run) -> None:
        """Make one run, say what came of it, and count it."""
        began_s = time.monotonic()
        made = await run.make()
        verdict, figures = made if isinstance(made, tuple) else (made, None)
        self.verdicts.setdefault(run.name, Verdict()).add(verdict)
        self.figures |= figures or {}
        state = "clean" if verdict.clean else "; ".join(verdict.notes)
        print(f"{run.name}: {verdict.tried} tried, {time.monotonic() - began_s:.0f} s: {state}", flush=True)


async def run_all(runs: Sequence[Run], into: Tables, at_once: int) -> None:
    """Make these runs, some at a time."""
    free = asyncio.Semaphore(at_once)

    async def one(run: Run) -> None:
        async with free:
            await into.run(run)

    async with asyncio.TaskGroup() as tasks:
        for run in runs:
            tasks.create_task(one(run))


CUT_AT: dict[str, tuple[str, When]] = {
    "no second look": ("acknowledged", "after"),
    "row after the acknowledgement": ("acknowledged", "after"),
    "undelivered is forgotten": ("row finished", "after"),
    "delivered before it is": ("uploading", "before"),
    "no sweep": ("output written", "after"),
    "no requeue": ("sent", "after"),
}
"""At which stage the bot is killed to see that a wire is cut."""


def with_cut_wire(name: str, seed: int) -> Run:
    """A run in which the bot breaks its word on purpose."""
    match name:
        case "no nonce":
            make = partial(discords.failing, seed, "reply closed, answers cut", cut=name)
        case "cancel is not written down":
            make = partial(presses.cancelled_and_killed, seed, cut=name)
        case "no fsync":
            make = partial(disks.power_cut, seed, 20, cut=name)
        case _:
            make = partial(kills.killed, seed, [Kill(*CUT_AT[name], nth) for nth in (2, 1)], cut=name)
    return Run(f"cut: {name}", make)
