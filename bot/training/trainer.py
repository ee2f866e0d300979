"""One process that trains one training: started, told when the device is its, heard to its last word.

What is trained next and what becomes of it is for `runner`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from bot.engine.link import MUST_ACT, Link
from bot.errors import EngineDied
from bot.training.folders import Folders
from bot.training.states import Training
from bot.training.turns import Turns
from inference.protocol import (
    EpochEnded,
    Go,
    Held,
    Hold,
    Planned,
    Stepped,
    Stop,
    Train,
    TrainerEvent,
    TrainingFailed,
    Woke,
    because,
    pack,
    unpack_trainer_event,
)

log = logging.getLogger(__name__)

PROGRAM = ("-m", "inference", "train", "serve")


class Trainer:
    """`run` it once. Where that is cancelled the process keeps what it has come to, and ends."""

    def __init__(
        self, training: Training, folders: Folders, turns: Turns, spare: Callable[[], Awaitable[None]]
    ) -> None:
        """`spare` lets the engine on its device let go of what it holds there."""
        self.training = training
        self._folders = folders
        self._turns = turns
        self._spare = spare
        self._link = Link(f"the trainer of training {training.id}")
        self._stop = asyncio.Event()
        self._away = False
        self.evicted = False
        """Whether it was ended from here, so that its death is nobody's fault."""
        self.reached = 0
        """The furthest step that it has taken."""
        self.gone = asyncio.Event()
        """Set once its process is no more."""

    def stop(self) -> None:
        """It shall keep what it has come to, and end."""
        self._stop.set()

    def evict(self) -> None:
        """It shall end at once."""
        self.evicted = True
        self._link.kill()

    async def run(
        self, environ: Mapping[str, str], hear: Callable[[Planned | Stepped | EpochEnded], Awaitable[None]]
    ) -> TrainerEvent:
        """Train until the process ends; its last word. `hear` is told how it gets on. Raises EngineDied."""
        # From here on it may have the device: nothing is awaited before.
        self._turns.take()
        self._turns.evict = self.evict
        try:
            try:
                await self._link.open(PROGRAM, environ)
                pictures, run = self._folders.pictures(self.training.id), self._folders.run(self.training.id)
                order = Train(self.training.order, str(pictures.absolute()), str(run.absolute()))
                await self._link.send(pack(order))
                return await self._see_through(hear)
            except EngineDied as error:
                status = await self._link.reap()
                if status == MUST_ACT:
                    log.error("training %d: %s", self.training.id, self._link.hearing.told())
                    return TrainingFailed(because("training_broke"))
                raise self._link.death(error, status) from error
        finally:
            await self._link.reap()
            self._turns.leave()
            self.gone.set()

    async def _see_through(self, hear: Callable[[Planned | Stepped | EpochEnded], Awaitable[None]]) -> TrainerEvent:
        listening = asyncio.create_task(self._listen(hear))
        tasks = {listening, asyncio.create_task(self._conduct()), asyncio.create_task(self._pass_on_stop())}
        try:
            running = set(tasks)
            while not listening.done():
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {listening}:
                    task.result()
            return listening.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _conduct(self) -> None:
        """Let it give way whenever requests come, and go on when none has come for a while."""
        while True:
            await self._turns.wanted()
            await self._link.send(pack(Hold()))
            await self._turns.given()
            await self._turns.quiet()
            if self._away:
                await self._spare()
                await self._turns.quiet()
            self._turns.take()
            await self._link.send(pack(Go()))

    async def _pass_on_stop(self) -> None:
        await self._stop.wait()
        await self._link.send(pack(Stop()))

    async def _listen(self, hear: Callable[[Planned | Stepped | EpochEnded], Awaitable[None]]) -> TrainerEvent:
        """Hear it to its last word. Raises EngineDied."""
        while True:
            try:
                event = unpack_trainer_event(await self._link.receive())
            except (ValueError, msgspec.MsgspecError) as error:
                raise EngineDied(f"the trainer sent what nobody can read: {error}") from error
            match event:
                case Woke():
                    self._turns.has_memory = event.card
                case Held():
                    self._away = event.away
                    self._turns.give()
                case Planned() | EpochEnded():
                    await hear(event)
                case Stepped():
                    self.reached = max(self.reached, event.step)
                    await hear(event)
                case _:
                    return event
