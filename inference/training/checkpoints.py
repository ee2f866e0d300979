"""Where a run was: the LoRA's numbers in full precision, the optimiser's, and the step. One is there or the one before,
whenever the machine stops.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from inference.errors import TrainingError

FOLDER = "checkpoint"
LORA, OPTIMISER, STATE = "lora.safetensors", "optimiser.pt", "state.json"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is."""

    step: int
    """So many steps are done."""
    losses: tuple[float, ...]
    """Of the steps since the last epoch ended."""
    epochs: tuple[float, ...] = ()
    """The mean loss of each epoch that has ended."""


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from."""

    state: State
    lora: Mapping[str, torch.Tensor]
    optimiser: Mapping[str, Any]


def write(run: Path, checkpoint: Checkpoint) -> None:
    """Keep this one in the folder of a run, in place of the one before."""
    part, old = run / f"{FOLDER}.part", run / f"{FOLDER}.old"
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir()
    save_file({name: of.detach().cpu().contiguous() for name, of in checkpoint.lora.items()}, part / LORA)
    torch.save(dict(checkpoint.optimiser), part / OPTIMISER)
    (part / STATE).write_bytes(msgspec.json.encode(checkpoint.state))
    for file in (part / LORA, part / OPTIMISER, part / STATE):
        with file.open("rb") as written:
            os.fsync(written.fileno())
    if (run / FOLDER).exists():
        (run / FOLDER).rename(old)
    part.rename(run / FOLDER)
    shutil.rmtree(old, ignore_errors=True)


def read(run: Path) -> Checkpoint | None:
    """The last one that was kept; None where the run has only begun. Raises TrainingError where it is broken."""
    if (folder := _last(run)) is None:
        return None
    with _said_of(folder):
        optimiser = torch.load(folder / OPTIMISER, map_location="cpu", weights_only=True)
        return Checkpoint(_state(folder), load_file(folder / LORA), optimiser)


def state(run: Path) -> State:
    """How far the last one is, without its numbers; the beginning where there is none. Raises TrainingError as `read`
    does."""
    if (folder := _last(run)) is None:
        return State(step=0, losses=())
    with _said_of(folder):
        return _state(folder)


def _last(run: Path) -> Path | None:
    # Between two renamings the one before has another name.
    return next((run / name for name in (FOLDER, f"{FOLDER}.old") if (run / name / STATE).is_file()), None)


def _state(folder: Path) -> State:
    return msgspec.json.decode((folder / STATE).read_bytes(), type=State)


@contextmanager
def _said_of(folder: Path) -> Iterator[None]:
    """Within, what is wrong with a checkpoint is a TrainingError."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, SafetensorError, UnpicklingError, msgspec.DecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"{folder} cannot be gone on with ({reason}): delete it to begin anew") from error
