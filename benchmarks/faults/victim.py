"""The real bot as a process that kills itself, with SIGKILL, exactly where it was told to.

It wraps methods of the bot from outside, one for each stage of a job's life, and puts `painter` in the engine's place
where that is asked for. A process of this module is a fork of one that has read the bot's modules already.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import inspect
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import aiosqlite
import discord
import msgspec
from discord.state import ConnectionState
from discord.webhook.async_ import AsyncWebhookAdapter

import bot.__main__
import bot.assembly
from benchmarks.faults.painter import Plan
from bot.admission import Admission
from bot.database import Database
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.engine.process import InferenceProcess
from bot.jobs import Jobs
from bot.pictures import downloads
from bot.pictures.kept import Pictures
from bot.posting import Posting
from inference.protocol import Batch, Finished, Progress

PR_SET_PDEATHSIG = 1

When = Literal["before", "after"]

STAGES: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "row": (Jobs, "arrive", lambda *_, **__: True),
    "acknowledged": (discord.InteractionResponse, "send_message", lambda *_, **__: True),
    "message known": (Jobs, "acknowledge", lambda *_, **__: True),
    "upload read": (downloads, "read", lambda *_, **__: True),
    "upload settled": (Jobs, "settle", lambda *_, **__: True),
    "answered": (Jobs, "answer", lambda *_, **__: True),
    "started": (Jobs, "start", lambda *_, **__: True),
    "sent": (InferenceProcess, "_send", lambda _, message: isinstance(message, Batch)),
    "step": (InferenceProcess, "_note", lambda _, event: isinstance(event, Progress)),
    "output written": (InferenceProcess, "_note", lambda _, event: isinstance(event, Finished)),
    "file taken over": (Pictures, "_take_over", lambda *_, **__: True),
    "row finished": (Jobs, "finish", lambda *_, **__: True),
    "end written": (Jobs, "fail", lambda *_, **__: True),
    "progress shown": (Delivery, "show", lambda *_, **__: True),
    "card edited": (Posting, "edit", lambda *_, **__: True),
    "uploading": (Posting, "put", lambda *_, **__: True),
    "delivered": (Jobs, "delivered", lambda *_, **__: True),
    "cancelling": (Jobs, "cancel", lambda *_, **__: True),
    "being deleted": (Jobs, "delete", lambda *_, **__: True),
    "picture removed": (Pictures, "drop", lambda *_, **__: True),
    "withdrawn": (Posting, "remove", lambda *_, **__: True),
    "requeued": (Jobs, "requeue", lambda *_, **__: True),
    "row changed": (Database, "_one", lambda *_, **__: True),
    "commit": (aiosqlite.Connection, "commit", lambda *_, **__: True),
    "taking up": (Dispatcher, "resume", lambda *_, **__: True),
    "taking up arrivals": (Admission, "resume", lambda *_, **__: True),
    "tidied": (Jobs, "tidy", lambda *_, **__: True),
}
"""Where in a job's life the bot can be killed: before or after which call, and which of those calls count."""


class Kill(msgspec.Struct, frozen=True):
    """Die at this stage when it comes for this time."""

    stage: str
    when: When
    nth: int = 1


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of victim to be."""

    environ: dict[str, str]
    log: Path
    kill: Kill | None = None
    slowed: Kill | None = None
    """Wait there for `slow_s` every time from then on."""
    slow_s: float = 0.5
    engines: tuple[Plan, ...] | None = (Plan(),)
    """How the first engine that the bot starts behaves, the second, and all from the last on; None: the real engine."""
    gauge: Path | None = None
    """Where to write how late the event loop was, in seconds, one 8-byte float after the other."""
    answers: Path | None = None
    """Where to write how long each interaction waited for its first answer in the bot, in seconds, until that was sent
    and until Discord had confirmed it: two 8-byte floats after the other."""
    cut: str | None = None
    """A wire of the bot to cut, by its name in `wires`: to see that the judge can fail."""


def run(order: Order) -> None:
    """Be the bot; ends the process with the bot's exit status."""
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(log, standard)
    os.setsid()
    # Whoever ends the harness ends its victims.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(order.environ)
    if order.kill is not None:
        _at(order.kill, _die)
    if order.slowed is not None:
        _at(order.slowed, lambda: None, pause_s=order.slow_s)
    if order.engines is not None:
        _with_painters(order.engines)
    if order.gauge is not None:
        _with_gauge(order.gauge)
    if order.answers is not None:
        _with_stopwatch(order.answers)
    if order.cut is not None:
        from benchmarks.faults import wires

        wires.cut(order.cut)
    status = bot.__main__.main()
    sys.stderr.flush()
    os._exit(status)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at(point: Kill, strike: Callable[[], None], pause_s: float = 0.0) -> None:
    """Let `strike` happen when this point is reached for the `nth` time; a pause from then on."""
    owner, name, counts = STAGES[point.stage]
    real = getattr(owner, name)
    seen = 0

    def reach() -> bool:
        nonlocal seen
        seen += 1
        if seen == point.nth:
            strike()
        return seen >= point.nth

    if inspect.iscoroutinefunction(real):

        @functools.wraps(real)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            counted = counts(*args, **kwargs)
            if counted and point.when == "before" and reach():
                await asyncio.sleep(pause_s)
            result = await real(*args, **kwargs)
            if counted and point.when == "after" and reach():
                await asyncio.sleep(pause_s)
            return result
    else:

        @functools.wraps(real)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            counted = counts(*args, **kwargs)
            if counted and point.when == "before":
                reach()
            result = real(*args, **kwargs)
            if counted and point.when == "after":
                reach()
            return result

    setattr(owner, name, wrapped)


def _with_painters(plans: tuple[Plan, ...]) -> None:
    """Start `painter` wherever the bot would start its engine."""
    real = asyncio.create_subprocess_exec
    started = 0

    @functools.wraps(real)
    async def start(*command: str, **options: Any) -> asyncio.subprocess.Process:
        nonlocal started
        if "inference" in command:
            plan = plans[min(started, len(plans) - 1)]
            started += 1
            place = command.index("inference")
            said = ("benchmarks.faults.painter", *command[place + 1 :], "--plan", msgspec.json.encode(plan).decode())
            command = (*command[:place], *said)
        return await real(*command, **options)

    setattr(asyncio, real.__name__, start)


GAUGE_EVERY_S = 0.01


def _with_gauge(file: Path) -> None:
    """Write down how late the loop is, all the time."""
    real = bot.assembly._run

    async def gauge() -> None:
        with file.open("ab", buffering=0) as sink:
            while True:
                began_s = time.monotonic()
                await asyncio.sleep(GAUGE_EVERY_S)
                late_s = time.monotonic() - began_s - GAUGE_EVERY_S
                sink.write(struct.pack("d", late_s))

    async def run_with_gauge(*args: Any) -> None:
        measuring = asyncio.create_task(gauge())
        try:
            await real(*args)
        finally:
            measuring.cancel()

    setattr(bot.assembly, real.__name__, run_with_gauge)


def _with_stopwatch(file: Path) -> None:
    """Write down how long every interaction waits for its first answer."""
    parse, answer = ConnectionState.parse_interaction_create, AsyncWebhookAdapter.create_interaction_response
    received_s: dict[int, float] = {}
    sink = file.open("ab", buffering=0)

    def parse_timed(state: Any, data: Any) -> None:
        received_s[int(data["id"])] = time.monotonic()
        parse(state, data)

    async def answer_timed(adapter: Any, interaction_id: int, *args: Any, **kwargs: Any) -> Any:
        began_s = received_s.pop(interaction_id)
        sent_s = time.monotonic() - began_s
        response = await answer(adapter, interaction_id, *args, **kwargs)
        sink.write(struct.pack("dd", sent_s, time.monotonic() - began_s))
        return response

    setattr(ConnectionState, parse.__name__, parse_timed)
    setattr(AsyncWebhookAdapter, answer.__name__, answer_timed)
