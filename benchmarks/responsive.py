"""How soon the bot itself reacts: its event loop, its acknowledgements, its requests. The engine paints nothing here.

The bot is a process of its own against the sandbox, as in `faults`; all of them share the machine.
"""

from __future__ import annotations

import asyncio
import io
import struct
import time
from pathlib import Path

from PIL import Image

from benchmarks.beside import Row, bounded, counted
from benchmarks.faults.crowd import Crowd
from benchmarks.faults.painter import Plan
from benchmarks.faults.scenarios.load import acknowledged, lateness, percentile
from benchmarks.faults.trial import Trial, until
from bot.database import open_database
from bot.folder import DATABASE
from bot.job import Reply
from bot.jobs import Jobs
from bot.pictures.kept import Pictures
from inference.protocol import Imagine

IDLE_S = 6.0
LARGE_SIDE = 10_000
"""Of a grey picture of noise: a file of 100 MB."""
UPLOAD_SIDE = 6000
"""36 million pixels, the most that is read."""
QUEUED = 5000
MEMBERS = 1000
BURST = 60


async def measure(large: int = 3, asked: int = 200) -> list[Row]:
    """With so many large uploads and results at once, and so many commands one after the other."""
    return [*await loop(large), *await acknowledgements(QUEUED, asked), await refused(BURST)]


async def loop(large: int, upload_side: int = UPLOAD_SIDE, result_side: int = LARGE_SIDE) -> list[Row]:
    """How late the bot's event loop is while it reads large uploads and sends large results, beside an idle one."""
    async with Trial() as trial:
        gauge = trial.log.with_name("gauge")
        await trial.director.faults(attachment_size_limit=2 * LARGE_SIDE**2)
        await trial.start(engines=(Plan(step_s=0.01, pixels=result_side),), gauge=gauge)
        crowd, upload = Crowd(trial, 1), photograph(upload_side)
        # The first of each kind reads modules and starts the children.
        await asyncio.gather(crowd.upload("/describe", upload), crowd.imagine())
        await quiet(trial)
        before = len(lateness(gauge))
        await asyncio.sleep(IDLE_S)
        between = len(lateness(gauge))
        acts = [act for _ in range(large) for act in (crowd.upload("/describe", upload), crowd.imagine())]
        await asyncio.gather(*acts)
        await quiet(trial)
        late_ms = [late_s * 1000 for late_s in lateness(gauge)]
        sent = largest(trial)
    idle, busy = late_ms[before:between], late_ms[between:]
    what = f"{large} uploads of {upload_side**2 / 1e6:.0f} MP, {large} results of {sent / 1e6:.0f} MB"
    p99 = percentile(busy, 99), percentile(idle, 99)
    return [
        counted(f"the bot's loop is late, p99: {what}", 1.5, "ms", *p99, len(busy), "beside an idle bot"),
        bounded(f"the bot's loop is late, at most: {what}", "ms", max(busy), 50.0, len(busy)),
    ]


async def acknowledgements(queued: int, asked: int) -> list[Row]:
    """How long commands wait in the bot for their first answer while so many jobs wait for a busy engine."""
    async with Trial(members=min(asked, MEMBERS)) as trial:
        await fill(trial.data, queued)
        stopwatch = trial.log.with_name("answers")
        await trial.start(engines=(Plan(step_s=3600.0, batch=1),), answers=stopwatch)
        await until(lambda: trial.rows("SELECT 1 FROM job WHERE state = 'running'"))
        for number in range(asked):
            member = trial.member(f"member-{number % MEMBERS + 1}")
            await member.command("/imagine", {"prompt": f"number {number}", "seed": "1"})
        await until(lambda: len(stopwatch.read_bytes()) == asked * struct.calcsize("dd"))
        told_ms = percentile(acknowledged(trial), 99) * 1000
        times = list(struct.iter_unpack("dd", stopwatch.read_bytes()))
        await trial.kill()
    sent_ms, confirmed_ms = (percentile([each[place] * 1000 for each in times], 99) for place in (0, 1))
    note = f"until Discord confirms it {confirmed_ms:.1f} ms, by Discord's own clock {told_ms:.1f} ms"
    name = f"a command's first answer leaves the bot, p99: {queued:,} jobs wait"
    return [bounded(name, "ms", sent_ms, 100.0, len(times), note)]


async def refused(burst: int) -> Row:
    """How many requests Discord refuses as too many, by its limits, when so many members ask at once."""
    async with Trial(members=burst) as trial:
        await trial.director.faults(rate_limits=True)
        await trial.start(engines=(Plan(step_s=0.2, steps=4),))
        asking = [
            trial.member(f"member-{number + 1}").command("/imagine", {"prompt": f"number {number}", "seed": "1"})
            for number in range(burst)
        ]
        await asyncio.gather(*asking)
        await quiet(trial)
        statuses = [entry["status"] for entry in trial.sandbox.state.journal.since(1)]
    return counted(
        f"requests refused as too many (429): {burst} members ask at once",
        0.0,
        "requests",
        statuses.count(429),
        len(statuses),
        len(statuses),
    )


async def fill(data: Path, queued: int) -> None:
    """Let so many jobs wait in the database of a bot that does not run yet."""
    pictures = Pictures(data)
    pictures.prepare()
    async with open_database(data / DATABASE) as database:
        jobs = Jobs(database, pictures)

        async def one(number: int) -> None:
            reply = Reply(10**6 + number % MEMBERS, None, 1, None, "", time.time() + 900, 10 * 2**20)
            job = await jobs.arrive(waiting(number), reply)
            await jobs.acknowledge(job.id, None)

        await asyncio.gather(*(one(number) for number in range(queued)))


def waiting(number: int) -> Imagine:
    """A job for the engine of `painter`."""
    return Imagine(
        job=0,
        model="fast",
        prompt=f"waiting {number}",
        seed=number,
        steps=4,
        guidance=5.0,
        sampler="euler",
        width=64,
        height=64,
    )


def photograph(side: int) -> bytes:
    """A JPEG of many pixels, as large a file as a telephone's."""
    stream = io.BytesIO()
    small = Image.effect_noise((side // 8, side // 8), 60)
    small.resize((side, side), Image.Resampling.BICUBIC).convert("RGB").save(stream, format="JPEG", quality=85)
    return stream.getvalue()


def largest(trial: Trial) -> int:
    """The bytes of the largest picture that was made."""
    return max(file.stat().st_size for file in (trial.data / "pictures").rglob("*.png"))


async def quiet(trial: Trial) -> None:
    """Wait for the end of all jobs."""
    if not await trial.quiet(within_s=300):
        raise RuntimeError(f"not everything has ended: {trial.unfinished()} {trial.crashes}")
