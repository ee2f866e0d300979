"""How everything stands, for whoever looks at the page: what it shows, and nothing that it does not show.

Of members there is nothing but how many wait, and of their words nothing unless the operator wants to see them. How it
looks is the page's affair.
"""

from __future__ import annotations

import asyncio
import math
import platform
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from bot import gallery
from bot.app import Easel
from bot.cards import shorten
from bot.dispatcher import Dispatcher
from bot.engine.interface import Condition, Engine
from bot.job import Job
from bot.keeping.manifest import easel
from bot.lines import Running
from bot.watch.disk import Disk, Space
from bot.watch.graphics import Graphics
from bot.watch.recent import Failure, History, Lately
from inference.protocol import Classify, Describe, Grid, Imagine, Mask, Progress, Request, Upscale

LISTED = 12
"""So many of those that wait are shown; of the others how many they are."""

WORDS_CHARS = 300

LIBRARIES = ("discord.py", "torch", "diffusers", "transformers")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits or runs."""

    job: int
    command: str
    model: str
    facts: str
    """Its size and the like, in a few words."""
    words: str | None
    """What its member asked for; None where that is not to be seen."""
    asked_at: float


class Waiting(Work, frozen=True, kw_only=True):
    """A job that waits."""

    place: int
    quick: bool
    """Whether it is in the line of those that are quick."""
    ready_at: float | None


class AtWork(Work, frozen=True, kw_only=True):
    """A job that runs."""

    stage: str
    step: int
    steps: int
    preview: str | None
    """Where its picture so far is; it is another address whenever that is another picture."""
    hidden: bool
    """Whether there is one, and it is not shown here."""


class Model(msgspec.Struct, frozen=True):
    """What an engine has in memory."""

    kind: str
    name: str
    bytes: int


class EngineNow(msgspec.Struct, frozen=True, kw_only=True):
    """One engine."""

    name: str
    device: str
    up: bool
    away_s: float | None
    why: str
    """How it died last; empty where it never did."""
    silent_s: float
    restarts: int
    models: tuple[Model, ...]
    budget_bytes: int | None
    device_bytes: int | None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A graphics card."""

    name: str
    use: float | None
    used_bytes: int | None
    bytes: int | None
    watts: float | None
    celsius: float | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; times in seconds since 1970."""

    now: float
    started_at: float
    online: bool
    latency_ms: float | None
    servers: int
    running: tuple[AtWork, ...]
    waiting: tuple[Waiting, ...]
    waiting_count: int
    waiting_members: int
    oldest_at: float | None
    max_waiting: int
    engines: tuple[EngineNow, ...]
    cards: tuple[Card, ...]
    disk: Space | None
    lately: Lately
    failures: tuple[Failure, ...]
    shows_words: bool
    versions: dict[str, str]


class Observatory:
    """Looks at everything when it is asked to."""

    def __init__(
        self,
        client: Easel,
        dispatcher: Dispatcher,
        engine: Engine,
        disk: Disk,
        history: History,
        commands: Mapping[str, str],
        *,
        max_waiting: int,
        shows_words: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`commands` names the command of each kind of request; `shows_words` where what members wrote may be seen by
        whoever sees this."""
        self._client = client
        self._dispatcher = dispatcher
        self._engine = engine
        self._disk = disk
        self._history = history
        self._commands = commands
        self._graphics = Graphics()
        self._max_waiting = max_waiting
        self._shows_words = shows_words
        self._clock = clock
        self._started_at = clock()
        self._versions = {"Easel": easel(), "Python": platform.python_version(), **dict(_versions())}

    async def look(self) -> Status:
        """How it all is now."""
        cards = await asyncio.to_thread(self._graphics.look)
        lately, failures = await self._history.look()
        latency_s = self._client.latency
        waiting = [job for line in self._dispatcher.lines for job in line.queue.in_order()]
        return Status(
            now=self._clock(),
            started_at=self._started_at,
            online=self._client.is_online,
            latency_ms=latency_s * 1000 if math.isfinite(latency_s) else None,
            servers=len(self._client.guilds),
            running=tuple(self._running()),
            waiting=tuple(self._waiting()),
            waiting_count=len(waiting),
            waiting_members=len({job.reply.member_id for job in waiting}),
            oldest_at=min((job.created_at for job in waiting), default=None),
            max_waiting=self._max_waiting,
            engines=tuple(map(_engine, self._engine.conditions)),
            cards=tuple(
                Card(
                    name=card.name,
                    use=card.use,
                    used_bytes=card.memory_used_bytes,
                    bytes=card.memory_bytes,
                    watts=card.watts,
                    celsius=card.celsius,
                )
                for card in cards
            ),
            disk=self._disk.space,
            lately=lately,
            failures=failures,
            shows_words=self._shows_words,
            versions=self._versions,
        )

    def preview(self, job_id: int) -> bytes | None:
        """What a running job's pictures look like so far; None where there is nothing, or nothing to be seen here."""
        for line in self._dispatcher.lines:
            if (running := line.running.get(job_id)) is not None and not _is_hidden(running.job):
                return running.preview
        return None

    def _running(self) -> Iterator[AtWork]:
        for line in self._dispatcher.lines:
            for running in line.running.values():
                yield AtWork(**self._work(running.job), **_progress(running.progress), **_preview(running))

    def _waiting(self) -> Iterator[Waiting]:
        left = LISTED
        # Those that are quick go between the others.
        for quick, line in zip((True, False), reversed(self._dispatcher.lines), strict=True):
            for place, job in zip(range(1, left + 1), line.queue.in_order(), strict=False):
                standing = line.standing(job.id)
                ready_at = None if standing is None else standing.ready_at
                yield Waiting(**self._work(job), place=place, quick=quick, ready_at=ready_at)
                left -= 1

    def _work(self, job: Job) -> dict[str, Any]:
        words = gallery.words_of(job) if self._shows_words else None
        return {
            "job": job.id,
            "command": self._commands.get(job.request.kind, job.request.kind),
            "model": job.request.model,
            "facts": facts(job.request),
            "words": None if words is None else shorten(words, WORDS_CHARS),
            "asked_at": job.created_at,
        }


def facts(request: Request) -> str:
    """What is asked for, without its member's words."""
    match request:
        case Imagine():
            count = f"{request.count} × " if request.count > 1 else ""
            return f"{count}{request.width}×{request.height}, {request.steps} steps"
        case Grid(cells=(Imagine() as one, *_) as cells):
            return f"{len(cells)} × {one.width}×{one.height}"
        case Upscale():
            return f"{request.image.width}×{request.image.height}, {request.factor}×"
        case Describe():
            return request.task
        case Classify():
            return f"{len(request.labels)} labels"
        case Mask():
            return f"{request.image.width}×{request.image.height}"
        case _:
            return ""


def _progress(progress: Progress | None) -> dict[str, Any]:
    if progress is None:
        return {"stage": "starting", "step": 0, "steps": 0}
    return {"stage": progress.stage, "step": progress.step, "steps": progress.steps}


def _preview(running: Running) -> dict[str, Any]:
    if running.preview is None:
        return {"preview": None, "hidden": False}
    if _is_hidden(running.job):
        return {"preview": None, "hidden": True}
    return {"preview": f"status/preview/{running.job.id}?{zlib.crc32(running.preview):08x}", "hidden": False}


def _is_hidden(job: Job) -> bool:
    """Whether what is made there stays there. What a checker has flagged shows nothing before its end in any case."""
    return job.reply.age_restricted


def _engine(one: Condition) -> EngineNow:
    holding = one.holding if one.is_up else None
    models = [] if holding is None else [(*key.partition(" ")[::2], size) for key, size in holding.models.items()]
    return EngineNow(
        name=one.name,
        device=one.device,
        up=one.is_up,
        away_s=one.away_s,
        why=one.why,
        silent_s=one.silent_s,
        restarts=max(one.starts - 1, 0),
        models=tuple(Model(*model) for model in sorted(models, key=lambda model: -model[2])),
        budget_bytes=None if holding is None else holding.budget_bytes,
        device_bytes=None if holding is None else holding.device_bytes,
    )


def _versions() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
