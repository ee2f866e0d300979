"""Trains what members have submitted, one after the other, and writes down what becomes of each.

The process is `trainer`'s; whose turn the device is, `turns` knows.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NoReturn

from bot.database import insist
from bot.errors import EngineDied
from bot.folder import free_bytes
from bot.training.progress import MOST_DEATHS, Progress
from bot.training.states import Training
from bot.training.store import Trainings
from bot.training.trainer import Trainer
from bot.training.turns import Turns
from bot.waits import growing
from inference.protocol import (
    NO_ROOM,
    Crowded,
    EpochEnded,
    Planned,
    Reason,
    Stepped,
    TrainerEvent,
    TrainingEnded,
    TrainingFailed,
    because,
)

log = logging.getLogger(__name__)

AGAIN_AFTER_S = (1.0, 10.0, 60.0)
"""Waits before a trainer that ended before its time is started again; the last one repeats."""

LEFT_BYTES = 500_000_000
"""Of the disk, what trainings leave to everybody else: each epoch takes more of it."""


class Runner:
    """`keep` it for as long as the bot lives."""

    def __init__(
        self,
        trainings: Trainings,
        progress: Progress,
        turns: Turns,
        environ: Mapping[str, str],
        *,
        up: Callable[[], Awaitable[None]],
        spare: Callable[[], Awaitable[None]],
    ) -> None:
        """`environ` is the trainer's. `up` waits until the engine on its device is ready, `spare` until that has let go
        of all that it holds there."""
        self._trainings = trainings
        self._progress = progress
        self._turns = turns
        # What it logs comes to the bot, which reads that.
        self._environ = {**environ, "EASEL_LOG_FORMAT": "json"}
        self._up = up
        self._spare = spare
        self._changed = asyncio.Event()
        self._trainer: Trainer | None = None
        trainings.listen(self._heed)
        trainings.let_go = self._let_go

    async def keep(self) -> NoReturn:
        """Train whatever waits, in its order, until cancelled. Raises OperatorError."""
        await insist("that trainings wait again", self._progress.resume)
        while True:
            self._changed.clear()
            training = await insist("that a training begins", self._progress.begin_next)
            if training is None:
                await self._changed.wait()
            else:
                await self._train(training)

    def _heed(self, training_id: int) -> None:
        self._changed.set()

    async def _let_go(self, training_id: int) -> None:
        """End the process of a training that is gone, and wait until it is."""
        if (trainer := self._trainer) is not None and trainer.training.id == training_id:
            trainer.evict()
            await trainer.gone.wait()

    async def _train(self, training: Training) -> None:
        """Train this one until it has ended or failed, or is to be trained no more."""
        waits, crowded, furthest = growing(AGAIN_AFTER_S), 0, training.step
        while await self._lay_out(training.id):
            await self._up()
            await self._turns.quiet()
            if not await self._is_wanted(training.id):
                return
            trainer = Trainer(training, self._trainings.folders, self._turns, self._spare)
            event = await self._one_process(trainer)
            gained, furthest = trainer.reached > furthest, max(trainer.reached, furthest)
            match event:
                case TrainingEnded():
                    await insist("that a training ended", self._progress.ended, training.id)
                    await self._settle(training.id)
                case TrainingFailed():
                    await self._fail(training.id, event.reason)
                case Crowded():
                    crowded = 1 if gained else crowded + 1
                    if crowded > 1:
                        await self._fail(training.id, because("training_memory"))
                    else:
                        await self._spare()
                case None if not trainer.evicted:
                    deaths = await insist("a trainer's death", self._progress.died, training.id, gained=gained)
                    if deaths >= MOST_DEATHS:
                        await self._fail(training.id, because("training_deaths", times=deaths))
            if await self._is_wanted(training.id):
                # It was ended by nobody who has said so here.
                await asyncio.sleep(next(waits))

    async def _one_process(self, trainer: Trainer) -> TrainerEvent | None:
        """Let this one train until it ends; its last word, None where it died without one."""
        training_id = trainer.training.id
        self._trainer = trainer
        watching = asyncio.create_task(self._watch(trainer))
        try:
            event = await trainer.run(self._environ, partial(self._note, training_id))
            log.info("training %d: %s", training_id, type(event).__name__)
            return event
        except EngineDied as died:
            if not trainer.evicted:
                log.error("%s", died)
            return None
        finally:
            watching.cancel()
            self._trainer = None

    async def _watch(self, trainer: Trainer) -> None:
        """Let it end once its training is not to be trained any more."""
        while True:
            self._changed.clear()
            if not await self._is_wanted(trainer.training.id):
                return trainer.stop()
            await self._changed.wait()

    async def _note(self, training_id: int, event: Planned | Stepped | EpochEnded) -> None:
        match event:
            case Stepped():
                self._trainings.note(training_id, event.step, event.loss)
            case Planned():
                plan = (training_id, event.step, event.steps, event.epochs)
                await insist("a training's plan", self._progress.planned, *plan)
            case EpochEnded():
                ended = (training_id, event.epoch, event.step, event.loss)
                await insist("an epoch", self._progress.epoch_ended, *ended)
                if free_bytes(self._trainings.folders.data) < LEFT_BYTES:
                    # With this its process is told to keep what there is, while that can be done.
                    await self._fail(training_id, because("training_disk"))

    async def _is_wanted(self, training_id: int) -> bool:
        now = await insist("whether a training goes on", self._trainings.find, training_id)
        return now is not None and now.state == "training"

    async def _lay_out(self, training_id: int) -> bool:
        """Write what is learned from; False where that cannot be, or it is not to be trained any more."""
        try:
            if free_bytes(self._trainings.folders.data) < LEFT_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return await self._trainings.lay_out(training_id)
        except FileNotFoundError:
            await self._fail(training_id, because("training_pictures"))
        except OSError as error:
            log.error("the pictures of training %d cannot be laid out: %s", training_id, error)
            await self._fail(training_id, because("training_disk" if error.errno in NO_ROOM else "training_broke"))
        return False

    async def _settle(self, training_id: int) -> None:
        """Remove what is needed no more."""
        now = await insist("how a training ended", self._trainings.find, training_id)
        if now is not None and now.state == "ended":
            try:
                await asyncio.to_thread(self._trainings.folders.settle, training_id)
            except OSError as error:
                log.warning("what training %d needs no more could not be removed: %s", training_id, error)

    async def _fail(self, training_id: int, reason: Reason) -> None:
        log.info("training %d failed: %s", training_id, reason.name)
        await insist("that a training failed", self._trainings.fail, training_id, reason)
