"""The bot's end of an inference process: starts it, speaks with it, notices its death. Knows nothing of Discord."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from bot import environment
from bot.engine import last_seen
from bot.engine.interface import Condition, Neighbour
from bot.engine.link import MUST_ACT, Link, spoken_of
from bot.engine.vitals import Vitals
from bot.errors import EngineDied, OperatorError
from bot.waits import growing
from inference.protocol import (
    Alive,
    Batch,
    Began,
    Cancel,
    Event,
    Failed,
    Finished,
    Holding,
    Message,
    Progress,
    Ready,
    Spare,
    Waking,
    Work,
    pack,
    unpack_event,
)

log = logging.getLogger(__name__)

READY_WITHIN_S = 300
"""Longest wait for the first event: importing torch from a cold, slow disk takes minutes at worst."""

RESTART_AFTER_S = (0.1, 5.0, 30.0)
"""Waits before a dead process is started again, the last one repeated. What a start takes keeps it from spinning."""

WATCH_EVERY_S, SPARE_WITHIN_S = 1.0, 30.0


class InferenceProcess:
    """One inference process on this machine, on the other end of a socket pair.

    Either it answers or it is dead: `run` raises EngineDied and `start` begins anew. Several runs may be under way at a
    time; what is quick does not wait then for what is slow.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        data: Path,
        silence_s: float,
        *,
        name: str = "the inference process",
        program: Sequence[str] = ("inference",),
        admitted: Callable[[Mapping[str, str]], dict[str, str]] = environment.of_engine,
    ) -> None:
        """`data` is the folder in which pictures are exchanged. An engine that works and gives no sign of life for
        `silence_s` is ended, one that loads a model after LOADING_PATIENCE times as long.

        `name` is what the log calls it, `program` the module that it runs and what that is told besides socket and
        folder; of the environment it gets what is `admitted`.
        """
        self.name = name
        # What it logs comes to the bot, which reads that.
        self._environ = {**admitted(environ), "EASEL_LOG_FORMAT": "json"}
        self._data = data
        self._program = tuple(program)
        self._silence_s = silence_s
        self._vitals = Vitals(silence_s)
        self._link = Link(name)
        self._ready: Ready | None = None
        self._foreseen: Ready | None = None
        self._up = asyncio.Event()
        self._ended: asyncio.Future[EngineDied] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._runs: dict[int, asyncio.Queue[Event | EngineDied]] = {}
        self._begun: set[int] = set()
        self._last_begun: frozenset[int] = frozenset()
        self._finishing: set[int] = set()
        self.neighbour: Neighbour | None = None

    @property
    def ready(self) -> Ready:
        """What it can do, as it said when it was started last."""
        if self._ready is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._ready

    @property
    def program(self) -> str:
        """The module that it runs: processes of one are for the same requests."""
        return self._program[0]

    @property
    def condition(self) -> Condition:
        """How it is now, for whoever looks at it."""
        return Condition(
            name=self.name,
            pid=self._link.pid,
            device="" if self._ready is None else self._ready.device,
            away_s=None if self.is_up else self._vitals.away_s,
            why=self._link.why,
            silent_s=self._vitals.silent_s if self.is_up and self._runs else 0.0,
            patience_s=self._vitals.patience_s,
            starts=self._vitals.starts,
            work_s=self._vitals.work_s,
            holding=self._vitals.holding,
        )

    @property
    def foreseen(self) -> Ready | None:
        """What it will be able to do, where it has said that it is what it was; None where nobody can tell."""
        return self._foreseen

    @property
    def is_up(self) -> bool:
        """Whether it is ready now."""
        return self._up.is_set()

    async def up(self) -> None:
        """Wait until the process is ready."""
        await self._up.wait()

    async def ended(self) -> EngineDied:
        """Wait until the process that was started last is dead; returns why, also where it died long ago."""
        if self._ended is None:
            raise RuntimeError(f"{self.name} has not been started")
        return await asyncio.shield(self._ended)

    async def start(self) -> None:
        """Start the process and wait for its `Ready`. Raises EngineDied where it dies before, and `keep` then goes on;
        OperatorError where it ended with status 2, with what it said."""
        self._ended = asyncio.get_running_loop().create_future()
        self._vitals.starting()
        try:
            event = await self._first_event()
        except EngineDied as died:
            self._ended.set_result(died)
            raise
        self._ready = event
        self._begun.clear()
        self._finishing.clear()
        self._vitals.came()
        self._tasks = [asyncio.create_task(self._listen(self._ended)), asyncio.create_task(self._watch())]
        self._up.set()
        log.info("%s is ready on %s: %s", self.name, event.device, ", ".join(model.name for model in event.models))

    async def _first_event(self) -> Ready:
        """Start the process and let it introduce itself. Raises as `start`."""
        await self._link.open(("-m", *self._program, "--data", str(self._data)), self._environ)
        fingerprint = None
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                event = await self._receive()
                if isinstance(event, Waking):
                    fingerprint = event.fingerprint
                    self._foreseen = last_seen.of(self._data, fingerprint)
                    event = await self._receive()
        except TimeoutError as error:
            await self._reap()
            raise EngineDied(f"{self.name} said nothing for {READY_WITHIN_S} s") from error
        except EngineDied as error:
            if (status := await self._reap()) == MUST_ACT:
                raise OperatorError(self._link.hearing.told()) from None
            raise self._link.death(error, status) from error
        if not isinstance(event, Ready):
            await self._reap()
            raise EngineDied(f"{self.name} did not begin with Ready")
        if fingerprint is not None:
            last_seen.keep(self._data, fingerprint, event)
        return event

    async def keep(self) -> None:
        """Start it again whenever it has died, be it at work or idle, until cancelled. Raises as `start` where that
        will never do."""
        while True:
            log.error("%s; starting it again", died := await self.ended(), extra=spoken_of(self.name, died))
            await self._start_again()

    async def run(self, requests: Sequence[Work]) -> AsyncGenerator[Event, None]:
        """Run the requests; ends after the one final event of each. Raises EngineDied, after which `start` again."""
        unfinished = {request.job for request in requests}
        events: asyncio.Queue[Event | EngineDied] = asyncio.Queue()
        if not self._runs:
            self._vitals.hear()  # nobody listened for signs of life while there was nothing to do
        self._runs |= dict.fromkeys(unfinished, events)
        try:
            await self._send(Batch(tuple(requests)))
            while unfinished:
                event = await events.get()
                if isinstance(event, EngineDied):
                    raise event
                if isinstance(event, Finished | Failed):
                    unfinished.discard(event.job)
                yield event
        finally:
            for request in requests:
                self._runs.pop(request.job, None)

    async def spare(self) -> None:
        """Let it let go of all that its device holds, once nothing runs; returns once it has, or cannot."""
        self._vitals.held.clear()
        with contextlib.suppress(EngineDied, TimeoutError):
            await self._send(Spare())
            await asyncio.wait_for(self._vitals.held.wait(), SPARE_WITHIN_S)

    async def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped; its final event tells whether that came in time. An unknown one is no error."""
        with contextlib.suppress(EngineDied):  # then its jobs go back to the queue, where they can be cancelled
            await self._send(Cancel(job_id))

    async def end(self) -> None:
        """Hang up, and wait until the process is gone: its runs hear of that as of any other death."""
        if self._up.is_set():
            self._link.hang_up()
            await self.ended()
        await self.close()

    async def close(self) -> None:
        """Hang up, which ends the process, and wait until it is gone. One that is not ready has nothing to finish."""
        if not self._up.is_set():
            self._link.kill()
        for task in self._tasks:
            task.cancel()
        await self._reap()

    async def _start_again(self) -> None:
        waits = growing(RESTART_AFTER_S)
        wait_s = next(waits)
        while True:
            await asyncio.sleep(wait_s)
            try:
                return await self.start()
            except EngineDied as error:
                wait_s = next(waits)
                log.error("%s; next try in %s s", error, wait_s, extra=spoken_of(self.name, error))

    async def _listen(self, ended: asyncio.Future[EngineDied]) -> None:
        """Bring every event to the run that waits for it, until the process ends; all runs hear of that."""
        try:
            while True:
                self._note(await self._receive())
        except EngineDied as error:
            status = await self._reap()
            died = self._link.death(error, status, self._at_work())
            for events in set(self._runs.values()):
                events.put_nowait(died)
            ended.set_result(died)

    async def _watch(self) -> None:
        """End a process that has work and gives no sign of life; `_listen` then notices its end."""
        while self._up.is_set():
            await asyncio.sleep(min(WATCH_EVERY_S, self._silence_s / 4))
            silent_s = self._vitals.silent_s
            if self._runs and silent_s > self._vitals.patience_s:
                log.error("%s gave no sign of life for %.0f s and is ended", self.name, silent_s)
                self._link.kill()
                return

    def _note(self, event: Event) -> None:
        self._vitals.hear()
        match event:
            case Ready() | Waking():
                raise EngineDied(f"{self.name} said Ready twice")
            case Alive():
                self._vitals.is_loading = event.loading
                return
            case Holding():
                self._vitals.hold(event)
                return
            case Began():
                self._last_begun = frozenset(event.jobs)
                self._begun.update(event.jobs)
                self._vitals.work(going_on=True)
                return
            case Progress(stage="finishing"):
                self._finishing.add(event.job)
            case Finished() | Failed():
                self._begun.discard(event.job)
                self._finishing.discard(event.job)
        self._vitals.work(going_on=bool(self._begun - self._finishing))
        # A job whose run was given up may still end.
        if (events := self._runs.get(event.job)) is not None:
            events.put_nowait(event)

    def _at_work(self) -> frozenset[int]:
        """What the process was working on: what its device had last, and results that were being written. A slow job
        waits while a quick one runs between its steps."""
        return frozenset(self._begun & (self._last_begun | self._finishing))

    async def _send(self, message: Message) -> None:
        if not self._up.is_set():
            raise EngineDied(f"{self.name} is not running")
        try:
            await self._link.send(pack(message))
        except EngineDied as died:
            raise EngineDied(str(died), self._at_work()) from died

    async def _receive(self) -> Event:
        payload = await self._link.receive()
        try:
            return unpack_event(payload)
        except (ValueError, msgspec.MsgspecError) as error:
            raise EngineDied(f"{self.name} sent what nobody can read: {error}") from error

    async def _reap(self) -> int | None:
        if self._up.is_set():
            self._vitals.went()
        self._up.clear()
        return await self._link.reap()
