"""A run of training from its plan to its file: begun, gone on with, stopped, and one of its epochs chosen.

Its folder holds the plan, what is learned from, the last checkpoint, a folder for each epoch, and what was chosen.
"""

from __future__ import annotations

import fcntl
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec
import torch

from inference.catalog import headers
from inference.device import is_out_of_memory
from inference.errors import OutOfMemory, TrainingError
from inference.models.store import Store
from inference.pictures import images
from inference.protocol import NO_ROOM, because
from inference.training import checkpoints, examples, layouts, paintings, plans
from inference.training.checkpoints import Checkpoint, State
from inference.training.datasets import Dataset
from inference.training.learning import Learner
from inference.training.plans import Plan

CHECKPOINT_STEPS = 50
"""So many steps at most are taken again after the machine stopped."""
EPOCHS = "epochs"
LOCK = "lock"
"""Held by who trains: the system lets go of it with the process."""
PREVIEW = "preview.png"
HALF = torch.float16
"""What files of LoRAs are kept in, everywhere: their numbers are small, and this has more digits than bfloat16."""


FULL = ("os error 28", "No space left", "PytorchStreamWriter failed")
"""By which safetensors and torch say that the disk is full: they raise errors of their own."""


class Taken(TrainingError):
    """Another process trains in this folder. One whose bot was killed ends soon."""


class Halted(Exception):
    """The run is to be stopped where there is nothing yet to be kept."""


class Watching(Protocol):
    """What a run calls; whatever it raises ends the run, which can be gone on with."""

    def give_way(self) -> None:
        """Between two steps: returns when the device is free for the next one."""

    def is_stopped(self) -> bool:
        """Whether the run shall keep what it has come to and end."""

    def step(self, step: int, steps: int, loss: float) -> None:
        """So many steps are done, the last with this loss."""

    def epoch(self, epoch: int, epochs: int, loss: float, folder: Path) -> None:
        """An epoch has ended with this mean loss; its files and its preview are there."""


def run(store: Store, plan: Plan, dataset: Dataset, folder: Path, watching: Watching) -> bool:
    """Train, from the last checkpoint on where there is one. Whether it came to its end: the last epoch is chosen then.

    The device must be this run's alone between two calls of `give_way`. Raises TrainingError, SettingsError or
    WeightsError where the operator must act.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder), store.lease():
            _begin(plan, folder)
            return _train(store, plan, dataset, folder, watching)
    except OSError as error:
        full = because("training_disk") if error.errno in NO_ROOM else None
        raise TrainingError(f"{error.filename or folder} cannot be written: {error.strerror}", full) from error
    except Halted:
        return False
    except Exception as error:
        if any(said in str(error) for said in FULL):
            raise TrainingError(f"{folder} cannot be written: no space left", because("training_disk")) from error
        if not (isinstance(error, OutOfMemory) or is_out_of_memory(error)):
            raise
        text = "the memory does not hold this: say --batch 1 --checkpointing, a smaller --resolution or --rank"
        raise TrainingError(text, because("training_memory")) from error


def _begin(plan: Plan, folder: Path) -> None:
    if (began := plans.kept(folder)) is None:
        _write(folder / plans.FILE, msgspec.json.format(msgspec.json.encode(plan), indent=1))
    else:
        plans.require_same(folder, began, plan)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within, no other process trains in this folder. Raises TrainingError where one does."""
    with (folder / LOCK).open("wb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Taken(f"{folder} is being trained by another process") from error
        yield


def require_free(folder: Path) -> None:
    """Raise Taken where another process trains in this folder just now, before anything is loaded for it."""
    with suppress(FileNotFoundError), _alone(folder):
        return


def _train(store: Store, plan: Plan, dataset: Dataset, folder: Path, watching: Watching) -> bool:
    model = store.use(plan.model, lambda: None)
    training = model.family.training
    assert training is not None, "the command asked"

    def patient() -> None:
        watching.give_way()
        if watching.is_stopped():
            raise Halted

    def show(epoch: int) -> None:
        """Paint a preview of an epoch that has ended; where the run is to be stopped meanwhile, whoever goes on with it
        does: what was learned counts more."""
        place = folder / EPOCHS / f"{epoch:02}"
        if not plan.previews or (place / PREVIEW).is_file():
            return
        with suppress(Halted):
            painted = paintings.preview(store, model, plan, place / f"{plan.card.name}{layouts.DIFFUSERS}", patient)
            _write(place / PREVIEW, images.png(painted, {}))
        learner.work()

    own = paintings.priors(store, model, plan, folder, patient)
    known = examples.prepare(model, plan, dataset, own, folder, patient)
    learner = Learner(model, plan, known, store.device)
    state = State(step=0, losses=())
    if (kept := checkpoints.read(folder)) is not None:
        learner.go_on(kept.lora, kept.optimiser)
        state = kept.state
    learner.work()
    for ended in range(1, len(state.epochs) + 1):
        show(ended)
    while state.step < plan.steps:
        watching.give_way()
        if watching.is_stopped():
            checkpoints.write(folder, Checkpoint(state, learner.tensors, learner.optimiser))
            return False
        loss = learner.step(state.step)
        if not math.isfinite(loss):
            raise TrainingError(
                f"step {state.step + 1} came to no number: begin anew in another folder, --rate smaller",
                because("training_diverged", step=state.step + 1),
            )
        state = State(step=state.step + 1, losses=(*state.losses, loss), epochs=state.epochs)
        watching.step(state.step, plan.steps, loss)
        if (epoch := plan.ends(state.step)) is not None:
            mean = sum(state.losses) / len(state.losses)
            place = folder / EPOCHS / f"{epoch:02}"
            told = layouts.metadata(plan, dataset, training, model.entry.title, state.step, epoch, mean)
            halves = {name: tensor.to(HALF) for name, tensor in learner.tensors.items()}
            layouts.write(place, plan.card.name, halves, told, model.denoiser, model.family)
            show(epoch)
            state = State(step=state.step, losses=(), epochs=(*state.epochs, mean))
            watching.epoch(epoch, plan.epochs, mean, place)
        if state.step % CHECKPOINT_STEPS == 0 or not state.losses:
            checkpoints.write(folder, Checkpoint(state, learner.tensors, learner.optimiser))
    if plan.previews and not all((each / PREVIEW).is_file() for each in (folder / EPOCHS).glob("[0-9]*")):
        # It was stopped over the last one.
        return False
    choose(folder, plan.epochs)
    return True


def choose(folder: Path, epoch: int) -> list[Path]:
    """Let this epoch be what came of a run: its files, which lie in the run's own folder then.

    Raises TrainingError where that has not ended.
    """
    plan = plans.kept(folder)
    if plan is None:
        raise TrainingError(f"{folder} holds no run of training")
    place = folder / EPOCHS / f"{epoch:02}"
    names = [f"{plan.card.name}{end}" for end in (layouts.DIFFUSERS, layouts.KOHYA)]
    if not all((place / name).is_file() for name in names):
        ended = sorted(each.name for each in (folder / EPOCHS).glob("[0-9]*"))
        raise TrainingError(f"epoch {epoch} of {folder} has not ended; those that have: {', '.join(ended) or 'none'}")
    for name in names:
        headers.check(place / name)
        part = folder / f"{name}.part"
        shutil.copyfile(place / name, part)
        part.replace(folder / name)
    return [folder / name for name in names]


def _write(file: Path, data: bytes) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(data)
    part.replace(file)
