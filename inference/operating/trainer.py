"""The trainer: a process of the bot's that trains one LoRA over a socket, beside an engine on the same device.

It gives way between two steps, keeps what it has come to where it is told to stop or the bot is gone, and says why it
cannot go on in a reason for the member whose training it is and a line of the log for the operator.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inference.catalog import reading, teaching
from inference.errors import OperatorError, OutOfMemory, PeerBroken, TaskError, TrainingError
from inference.exchange.control import Control
from inference.exchange.joining import bots_socket
from inference.operating import needs
from inference.operating.training import opened, plan_of, require_trained
from inference.protocol import (
    MEMBERS_WEIGHT,
    Crowded,
    EpochEnded,
    Planned,
    Reason,
    Stepped,
    Train,
    TrainerEvent,
    TrainingEnded,
    TrainingFailed,
    TrainingOptions,
    TrainingStopped,
    Woke,
    because,
)
from inference.protocol.limits import training as limits
from inference.settings import Settings
from inference.training import datasets, plans
from inference.training.datasets import Dataset
from inference.training.plans import Plan

if TYPE_CHECKING:
    from inference.catalog.reading import Catalog
    from inference.device import Device
    from inference.models.handles import PictureModel
    from inference.training.checkpoints import State
    from inference.training.resting import Resting

log = logging.getLogger(__name__)

NICENESS = 5
"""Where it shares a processor with an engine, and with the bot, those go first."""


class _Unable(Exception):
    """It cannot be trained, for this reason; why in more words is its cause."""

    def __init__(self, name: str, /, **facts: str | int) -> None:
        super().__init__(name)
        self.reason = because(name, **facts)


def serve(fd: int, configured: Settings, quieten: Callable[[], None]) -> int:
    """Train what the bot orders over this socket; returns the exit status. Raises OperatorError where that is none."""
    os.nice(NICENESS)
    control = Control(bots_socket(fd))
    signal.signal(signal.SIGTERM, lambda *_: control.stop())
    try:
        order = control.order()
    except PeerBroken as error:
        log.critical("the trainer ends: %s", error)
        return 1
    if order is not None:
        control.say(_come_to(order, configured, quieten, control))
    return 0


def _come_to(order: Train, configured: Settings, quieten: Callable[[], None], control: Control) -> TrainerEvent:
    """Train, and say how that ended."""
    try:
        return TrainingEnded() if _train(order, configured, quieten, control) else TrainingStopped()
    except _Unable as error:
        if error.__cause__ is not None:
            log.error("%s", error.__cause__)
        return TrainingFailed(error.reason)
    except OutOfMemory as error:
        log.warning("there is no room for it just now: %s", error)
        return Crowded()
    except TrainingError as error:
        # What has a reason may name a member's words, which are logged nowhere.
        log.error("it cannot go on: %s", error if error.reason is None else (error.reason.name, error.__cause__))
        is_full = error.reason is not None and error.reason.name == "training_memory"
        return Crowded() if is_full else TrainingFailed(error.reason or because("training_broke"))
    except OperatorError as error:
        log.error("%s", error)
        return TrainingFailed(because("training_broke"))
    except Exception:
        log.exception("it broke inside the trainer")
        return TrainingFailed(because("training_broke"))


def _train(order: Train, configured: Settings, quieten: Callable[[], None], control: Control) -> bool:
    """Train; whether it came to its end. Raises _Unable, OutOfMemory, OperatorError."""
    _refuse(limits.problem_of(order.order))
    name = order.order.model
    known = reading.load(configured.models)
    if name not in known.models:
        raise _Unable("training_model", model=name)
    require_trained(known, name)
    try:
        dataset = datasets.read(Path(order.pictures))
    except TrainingError as error:
        raise _Unable("training_pictures") from error
    quieten()
    # Imported here: torch and diffusers take seconds that the mistakes above need not wait for.
    from inference import device
    from inference.training import checkpoints, runs
    from inference.training.resting import Resting

    here = device.choose(configured.device, configured.threads)
    control.say(Woke(here.is_cuda))
    folder = Path(order.run)
    try:
        runs.require_free(folder)
    except runs.Taken as error:
        return _later(error)
    control.give_way(lambda: False, lambda: None)
    if control.is_stopped():
        return False
    try:
        store, model = opened(known, name, here, configured.vram_budget_bytes)
    except OutOfMemory:
        raise
    except (TaskError, OperatorError) as error:
        raise _Unable("training_model", model=name) from error
    plan = _plan(order.order.options, dataset, model, here, folder)
    watching = _Watching(control, Resting(here, model.modules), _needed_bytes(known), plan)
    watching.begin(checkpoints.state(folder))
    try:
        return runs.run(store, plan, dataset, folder, watching)
    except runs.Taken as error:
        return _later(error)


def _later(error: TrainingError) -> bool:
    """It is a trainer's whose bot was killed, and which ends after its step: the bot tries again."""
    log.warning("%s", error)
    return False


def _plan(options: TrainingOptions, dataset: Dataset, model: PictureModel, here: Device, folder: Path) -> Plan:
    """That with which the run in this folder was begun, or a new one. Raises _Unable where it is of something else."""
    began = plans.kept(folder)
    if began is not None:
        # What the device held then is what it is trained by: it has other neighbours now.
        same = (began.model, began.hashes, began.dataset, began.card)
        if same != (model.name, dict(model.hashes), dataset.digest, dataset.card):
            raise _Unable("training_changed", model=model.entry.title)
        return began
    said = msgspec.structs.asdict(options)
    previews, resolution = said.pop("previews"), said.pop("resolution")
    said["weight"] = MEMBERS_WEIGHT
    said["pixels"] = None if resolution is None else resolution**2
    training = teaching.of(model.entry)
    assert training is not None, "it was asked"
    # Who asks for fewer steps than there are epochs by default has not asked for those.
    said["epochs"] = min(said["epochs"] or training.epochs, said["steps"] or training.steps)
    return plan_of(said, previews or None, dataset, model, here)


def _needed_bytes(known: Catalog) -> int:
    """What the model of an engine that has just been started needs of a card."""
    needed = needs.of_model(known, known.default)
    cards = () if needed is None else needs.smallest_cards(known.models[known.default], needed)
    # As a whole where it may be kept so. On a smaller card it takes whatever there is.
    return next((least for least in cards if least is not None), 0)


def _refuse(reason: Reason | None) -> None:
    if reason is not None:
        raise _Unable(reason.name, **reason.facts)  # type: ignore[arg-type]


class _Watching:
    """Tells the bot of a run, and gives way to the engine."""

    def __init__(self, control: Control, resting: Resting, needed_bytes: int, plan: Plan) -> None:
        self._control, self._resting, self._needed_bytes, self._plan = control, resting, needed_bytes, plan

    def begin(self, state: State) -> None:
        """Say from where it goes on."""
        plan = self._plan
        self._control.say(Planned(step=state.step, steps=plan.steps, epochs=plan.epochs))
        for number, loss in enumerate(state.epochs, start=1):
            self._control.say(EpochEnded(number, plan.end(number), loss))

    def give_way(self) -> None:
        """Let the engine have the device where it wants it."""
        self._control.give_way(lambda: self._resting.leave(self._needed_bytes), self._resting.back)

    def is_stopped(self) -> bool:
        """Whether the bot wants that, or is gone."""
        return self._control.is_stopped()

    def step(self, step: int, steps: int, loss: float) -> None:
        """Say so."""
        self._control.say(Stepped(step, loss))

    def epoch(self, epoch: int, epochs: int, loss: float, folder: Path) -> None:
        """Say so."""
        self._control.say(EpochEnded(epoch, self._plan.end(epoch), loss))
