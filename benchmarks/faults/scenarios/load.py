"""A thousand members and five thousand jobs, a queue that is as deep, and files that are meant to stop the bot."""

from __future__ import annotations

import asyncio
import io
import os
import random
import statistics
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.faults.crowd import Crowd, ended
from benchmarks.faults.judge import Verdict, judge
from benchmarks.faults.painter import Plan
from benchmarks.faults.trial import Trial
from bot.pictures.containers import MAX_SCANS

Figures = dict[str, Any]

WATCH_EVERY_S = 0.5
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """The bot's process over time: its memory and its processor."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.rss_mb: list[float] = []

    @property
    def cpu_s(self) -> float:
        """What its process has used until now."""
        fields = Path(f"/proc/{self._trial.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the memory now and then as long as the block lasts."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()

    async def _follow(self) -> None:
        while True:
            self.rss_mb.append(_rss_bytes(self._trial.pid) / 2**20)
            await asyncio.sleep(WATCH_EVERY_S)


async def bursts(seed: int, members: int, jobs: int, burst: int) -> tuple[Verdict, Figures]:
    """So many jobs, in bursts, before a fast engine."""
    rng = random.Random(seed)
    async with Trial(members=members) as trial:
        gauge = trial.log.with_name("gauge")
        await trial.start(engines=(Plan(step_s=0.0, steps=2, batch=8),), gauge=gauge)
        watch, began_s, before_s = Watch(trial), time.monotonic(), 0.0
        before_s = watch.cpu_s
        with watch.watching():
            for first in range(0, jobs, burst):
                await _ask(trial, [rng.randint(1, members) for _ in range(min(burst, jobs - first))], first)
            asked_s = time.monotonic() - began_s
            await trial.quiet(within_s=1800)
        told = acknowledged(trial)
        late = lateness(gauge)
        third = max(len(watch.rss_mb) // 3, 1)
        verdict = judge(trial, jobs)
        return verdict, {
            "members": members,
            "jobs": jobs,
            "burst": burst,
            "asked within s": round(asked_s, 1),
            "done within s": round(time.monotonic() - began_s, 1),
            "acknowledged ms p50": percentile(told, 50) * 1000,
            "acknowledged ms p99": percentile(told, 99) * 1000,
            "loop late ms p50": percentile(late, 50) * 1000,
            "loop late ms p99": percentile(late, 99) * 1000,
            "bot CPU s": round(watch.cpu_s - before_s, 1),
            "bot RSS MiB, first third": round(statistics.median(watch.rss_mb[:third])),
            "bot RSS MiB, last third": round(statistics.median(watch.rss_mb[-third:])),
            "overtaken at most": overtaken(trial),
        }


async def deep(seed: int, members: int, jobs: int, newcomers: int = 20) -> tuple[Verdict, Figures]:
    """A queue of so many jobs before an engine that stands still: what one more costs, and when a newcomer is served.

    Then the bot is killed, and a fast engine works everything off.
    """
    rng = random.Random(seed)
    async with Trial(members=members + newcomers) as trial:
        await trial.start(engines=(Plan(step_s=3600.0, batch=1),))
        watch = Watch(trial)
        shallow_ms = await _cost_ms(trial, watch, range(1, 101))
        for first in range(0, jobs - 100, 300):
            await _ask(trial, [rng.randint(1, members) for _ in range(min(300, jobs - 100 - first))], first)
        deep_ms = await _cost_ms(trial, watch, range(1, 101))
        late = [f"member-{members + 1 + number}" for number in range(newcomers)]
        await asyncio.gather(*(trial.member(name).command("/imagine", {"prompt": "a newcomer"}) for name in late))
        await trial.kill()
        await trial.start(engines=(Plan(step_s=0.0, steps=1, batch=1),))
        await trial.quiet(within_s=1800)
        order = [row[0] for row in trial.rows("SELECT request FROM job ORDER BY started_at, id")]
        places = [place for place, request in enumerate(order, 1) if "a newcomer" in request]
        return judge(trial), {
            "deep queue": jobs,
            "submission ms of CPU, empty queue": round(shallow_ms, 2),
            "submission ms of CPU, deep queue": round(deep_ms, 2),
            "newcomers served at place": f"{min(places)} to {max(places)} of {len(order)}",
        }


async def hostile(seed: int, files: int = 6, pairs: int = 5) -> tuple[Verdict, Figures]:
    """Another member's /imagine, ordinarily and while so many files are read that are meant to freeze the bot."""
    async with Trial(members=files) as trial:
        await trial.start(engines=(Plan(step_s=0.1),))
        crowd = Crowd(trial, seed)
        await _time_of_one(crowd)
        ordinary_s = [await _time_of_one(crowd) for _ in range(pairs)]
        # Most of them keep to what is allowed, as far as that goes.
        freezing = [progressive(MAX_SCANS - 10, 5900), progressive(MAX_SCANS - 10, 4000), progressive(2000, 1000)]
        reading: list[asyncio.Task[Any]] = []
        for number in range(files):
            file = ("freeze.jpg", freezing[number % len(freezing)])
            member = trial.member(f"member-{number + 1}")
            reading.append(asyncio.create_task(member.command("/describe", {}, files={"image": file})))
        await asyncio.sleep(0.5)
        meanwhile_s = [await _time_of_one(crowd) for _ in range(pairs)]
        for answer in await asyncio.gather(*reading, return_exceptions=True):
            assert not isinstance(answer, BaseException), answer
        await trial.quiet()
        # Whatever was too much to read has ended in a sentence.
        trial.may_fail |= trial.witness.told
        return judge(trial, files), {
            "imagine s, ordinarily": round(statistics.median(ordinary_s), 2),
            f"imagine s, while {files} freezing files are read": round(statistics.median(meanwhile_s), 2),
        }


def _rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def progressive(scans: int, side: int) -> bytes:
    """A small file of many pixels: a progressive JPEG whose last scan comes so often, each of which is a pass over all
    of them."""
    stream = io.BytesIO()
    picture = Image.linear_gradient("L").resize((side, side)).convert("RGB")
    picture.save(stream, format="JPEG", progressive=True, quality=30)
    data = stream.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def acknowledged(trial: Trial) -> list[float]:
    """How long each command waited for its first answer, in seconds, by Discord's clock."""
    waits = []
    for interaction in trial.interactions():
        messages = trial.sandbox.state.interactions.messages_of(interaction)
        if messages:
            waits.append(messages[0].created - interaction.created)
    return waits


def lateness(gauge: Path) -> list[float]:
    """How late the bot's loop was, in seconds, at each look."""
    return [late_s for (late_s,) in struct.iter_unpack("d", gauge.read_bytes())]


def overtaken(trial: Trial) -> int:
    """By how many later jobs of other members a member's oldest one was overtaken, at most."""
    rows = trial.rows("SELECT id, member_id FROM job WHERE started_at IS NOT NULL ORDER BY started_at, id")
    first: dict[int, int] = {}
    for job, member in rows:
        first[member] = min(first.get(member, job), job)
    return max(
        sum(1 for other, _ in rows[:place] if other > job)
        for place, (job, member) in enumerate(rows)
        if first[member] == job
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many percent of them lie."""
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 4)


async def _ask(trial: Trial, members: Sequence[int], first: int) -> None:
    await asyncio.gather(
        *(
            trial.member(f"member-{member}").command(
                "/imagine", {"prompt": f"number {first + number}", "seed": "1"}, timeout_s=60
            )
            for number, member in enumerate(members)
        )
    )


async def _cost_ms(trial: Trial, watch: Watch, members: Sequence[int]) -> float:
    """The bot's processor time for one submission, less what it uses anyway."""
    idle_s, waited_s = watch.cpu_s, time.monotonic()
    await asyncio.sleep(5.0)
    idle = (watch.cpu_s - idle_s) / (time.monotonic() - waited_s)
    began_s, before_s = time.monotonic(), watch.cpu_s
    for member in members:
        await trial.member(f"member-{member}").command("/imagine", {"prompt": "one more", "seed": "1"})
    used_s = watch.cpu_s - before_s - idle * (time.monotonic() - began_s)
    return used_s / len(members) * 1000


async def _time_of_one(crowd: Crowd) -> float:
    began_s = time.monotonic()
    card = await crowd.imagine()
    assert card is not None
    assert await crowd.until(card, ended) is not None
    return time.monotonic() - began_s
