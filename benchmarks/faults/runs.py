"""Which runs a scenario has, in its short form and its long one: each a row of the table and what makes its verdict."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

from benchmarks.faults.judge import Verdict
from benchmarks.faults.scenarios import discords, disks, engines, kills, load, presses, real
from benchmarks.faults.victim import STAGES, Kill

Made = Verdict | tuple[Verdict, dict[str, Any]]


class Run(NamedTuple):
    """One run; those of one name are one row."""

    name: str
    make: Callable[[], Awaitable[Made]]


def kill(seed: int, long: bool) -> list[Run]:
    """SIGKILL at every stage of a job's life; then at different ones, one after the other."""
    if not long:
        telling = ("row", "acknowledged", "message known", "answered", "output written", "row finished", "uploading")
        chains = kills.plan(seed, telling)
        return [
            Run("killed at the most telling stages", partial(kills.killed, seed + at, chains[at : at + 4]))
            for at in range(0, len(chains), 4)
        ]
    of_stages = [
        Run(f"killed: {stage}", partial(kills.killed, seed + number, kills.plan(seed + number, (stage,), times=3)))
        for number, stage in enumerate(STAGES)
    ]
    mixed = kills.plan(seed, times=2)
    return of_stages + [
        Run("killed at one stage after the other", partial(kills.killed, seed + 100 + at, mixed[at : at + 5]))
        for at in range(0, len(mixed), 5)
    ]


def burst(seed: int, long: bool) -> list[Run]:
    """Many commands at once and SIGKILLs among them."""
    many, times = (300, 5) if long else (60, 1)
    return [
        Run(f"burst of {many}, and SIGKILL", partial(kills.burst, seed + number, many, 1 + number % 3))
        for number in range(times)
    ]


def engine(seed: int, long: bool) -> list[Run]:
    """The engine killed, hanging, stopped, dying idle, poisoned."""
    rng = random.Random(seed)
    if not long:
        return [
            Run("engine killed at work and at its start", partial(engines.dies, seed, "written", 2)),
            Run("engine hangs, poisonous jobs", partial(engines.poison, seed, 3)),
        ]
    runs = []
    for stage in engines.STAGES:
        for number in range(2):
            nth = 1 if stage in ("ready", "idle") else rng.randint(1, 6)
            runs.append(Run(f"engine killed: {stage}", partial(engines.dies, seed + number, stage, nth)))
            if stage not in ("ready", "idle"):
                runs.append(Run(f"engine hangs: {stage}", partial(engines.hangs, seed + number, stage, nth)))
    return [
        *runs,
        Run("engine stopped (SIGSTOP)", partial(engines.stopped, seed, 4)),
        Run("engine killed idle", partial(engines.dies_idle, seed, 5)),
        Run("poisonous and hanging jobs", partial(engines.poison, seed, 8)),
    ]


def discord(seed: int, long: bool) -> list[Run]:
    """Discord failing."""
    if not long:
        names = ("500, 502 and 503", "cut after", "reply closed, answers cut")
        return [Run(f"Discord: {name}", partial(discords.failing, seed, name, 4.0)) for name in names] + [
            Run("Discord: channel deleted", partial(discords.channel_deleted, seed)),
            Run("Discord: messages deleted", partial(discords.deleted, seed)),
        ]
    others: dict[str, Callable[[int], Awaitable[Made]]] = {
        "token expired by the clock": discords.expired,
        "takes less than it says": discords.too_large,
        "channel deleted": discords.channel_deleted,
        "messages deleted": discords.deleted,
        "gateway dropped": partial(discords.disturbed, times=2),
    }
    return [
        *[
            Run(f"Discord: {name}", partial(discords.failing, seed + number, name))
            for name in discords.FAILURES
            for number in range(2)
        ],
        *[
            Run(f"Discord: {name}", partial(make, seed + number))
            for name, make in others.items()
            for number in range(2)
        ],
        *[Run(f"Discord: away for {s} s", partial(discords.outage, seed, float(s))) for s in (5, 60, 240)],
    ]


def press(seed: int, long: bool) -> list[Run]:
    """Pressed twice, cancelled and deleted at every stage, told to stop."""
    places = presses.SLOWED if long else (("acknowledged", "after"), ("message known", "before"), ("sent", "before"))
    whats: tuple[Literal["cancel", "delete"], ...] = ("cancel", "delete") if long else ("cancel",)
    at_stages = [
        Run(f"{what} at every stage", partial(presses.at_a_stage, seed + number, what, *place))
        for number, place in enumerate(places)
        for what in whats
    ]
    if not long:
        return [
            *at_stages,
            Run("pressed by all at once", partial(presses.double, seed)),
            Run("cancelled and killed", partial(presses.cancelled_and_killed, seed, 2)),
        ]
    return [
        *at_stages,
        *[Run("pressed by all at once", partial(presses.double, seed + number)) for number in range(3)],
        *[Run("SIGTERM in the middle", partial(presses.told_to_stop, seed + number, 5)) for number in range(3)],
        *[Run("cancelled and killed", partial(presses.cancelled_and_killed, seed + number, 5)) for number in range(2)],
        Run("second bot on the folder", partial(presses.second_bot, seed)),
    ]


def disk(seed: int, long: bool) -> list[Run]:
    """The disk and the database failing; nothing where this process may not mount."""
    locked = Run("database locked", partial(disks.locked, seed, (1.0, 2.5, 5.0, 8.0, 12.0) if long else (3.0,)))
    if not disks.may_mount():
        return [locked]
    if not long:
        return [locked, Run("power cut", partial(disks.power_cut, seed, 8))]
    return [
        locked,
        *[Run("disk full", partial(disks.full, seed + number, 4)) for number in range(3)],
        *[Run("power cut", partial(disks.power_cut, seed + number, 40)) for number in range(3)],
        Run("pictures' folder read-only", partial(disks.pictures_closed, seed)),
        Run("database read-only at the start", partial(disks.database_closed, seed)),
    ]


def starter(seed: int, long: bool) -> list[Run]:
    """The same with the real engine and the starter models."""
    if not long:
        return []
    chain = [Kill("step", "after", 3), Kill("output written", "before", 1), Kill("uploading", "before", 2)]
    return [
        Run("real engine, bot killed", partial(real.bot_killed, seed, chain)),
        Run("real engine killed", partial(real.engine_killed, seed, 3)),
    ]


def heavy(seed: int, long: bool) -> list[Run]:
    """Load, alone on the machine: nothing else of ours runs beside it."""
    if not long:
        return []
    return [
        Run("5,000 jobs of 1,000 members", partial(load.bursts, seed, 1000, 5000, 300)),
        Run("killed before a queue of 5,000", partial(load.deep, seed, 1000, 5000)),
        Run("freezing files", partial(load.hostile, seed)),
    ]


SCENARIOS: Mapping[str, Callable[[int, bool], list[Run]]] = {
    "kill": kill,
    "burst": burst,
    "engine": engine,
    "discord": discord,
    "press": press,
    "disk": disk,
    "starter": starter,
    "load": heavy,
}
