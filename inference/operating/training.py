"""The command line `python -m inference train …`: what it takes, and who does it."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inference.catalog import reading, teaching
from inference.catalog.reading import Catalog
from inference.errors import SettingsError, TaskError, WeightsError
from inference.families import FAMILIES
from inference.settings import Settings
from inference.training import datasets, plans
from inference.training.datasets import Dataset
from inference.training.plans import Plan

if TYPE_CHECKING:
    from inference.device import Device
    from inference.models.handles import PictureModel
    from inference.models.store import Store

    Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

INTERRUPTED = 130
"""As in `commands`."""

NUMBERS = {
    **{"rank": int, "rate": float, "steps": int, "epochs": int, "batch": int, "accumulate": int, "seed": int},
    **{"snr-gamma": float, "unsaid": float, "warm": int, "priors": int, "prior-weight": float},
    **{"preview-seed": int, "weight": float},
}
"""Fields of a plan that are said as options."""


def add_commands(parsers: Parsers) -> None:
    """Let the command line know these commands."""
    train = parsers.add_parser("train", help="train a LoRA on a folder of pictures")
    what = train.add_subparsers(dest="what", metavar="WHAT", required=True)
    looked = what.add_parser("look", help="say whether a folder can be trained on")
    looked.add_argument("pictures", type=Path, metavar="PICTURES")
    run = what.add_parser("run", help="train, or go on with a run that was stopped")
    run.add_argument("pictures", type=Path, metavar="PICTURES", help="pictures, captions and card.toml")
    run.add_argument("--model", required=True, metavar="NAME", help="the model of models.toml that it is for")
    run.add_argument("--to", type=Path, required=True, metavar="RUN", help="the run's folder")
    for name, kind in NUMBERS.items():
        run.add_argument(f"--{name}", type=kind, metavar="N")
    run.add_argument("--resolution", type=int, metavar="N", help="about N x N pixels, whatever the proportions")
    run.add_argument("--textures", action=argparse.BooleanOptionalAction, default=None, help="convolutions too")
    run.add_argument("--encoders", action=argparse.BooleanOptionalAction, default=None, help="text encoders too")
    run.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=None, help="slower, smaller")
    run.add_argument("--prior", metavar="WORDS", help="what all pictures of its kind show: with --priors")
    run.add_argument("--preview", action="append", metavar="PROMPT", help="painted after each epoch; may be repeated")
    run.add_argument("--no-previews", action="store_true", help="paint nothing meanwhile")
    served = what.add_parser("serve", help="train what the bot says over this socket: the bot itself says so")
    served.add_argument("--fd", dest="bot", type=int, required=True, metavar="N", help="the inherited socket")
    chosen = what.add_parser("choose", help="let another epoch be what came of a run")
    chosen.add_argument("run", type=Path, metavar="RUN")
    chosen.add_argument("epoch", type=int, metavar="EPOCH")


def do(asked: argparse.Namespace, configured: Settings, quieten: Callable[[], None]) -> int:
    """Do what is asked for, print what came of it, and return the exit status. Raises OperatorError."""
    match asked.what:
        case "look":
            return _look(asked.pictures)
        case "choose":
            # Imported here: torch takes seconds.
            from inference.training import runs

            for file in runs.choose(asked.run, asked.epoch):
                print(file)
            return 0
        case _:
            return _run(asked, configured, quieten)


def _look(folder: Path) -> int:
    dataset = datasets.read(folder)
    card, sizes = dataset.card, sorted({item.size for item in dataset.items})
    print(f"{card.name}: a {card.kind} in {len(dataset.items)} pictures, {_size(sizes[0])} to {_size(sizes[-1])}")
    if dataset.uncaptioned:
        print(f"{dataset.uncaptioned} of them have no words but {card.trigger!r}")
    for item in dataset.items:
        print(f"{item.file.name}: {item.caption}")
    return 0


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _run(asked: argparse.Namespace, configured: Settings, quieten: Callable[[], None]) -> int:
    known = reading.load(configured.models)
    if asked.model not in known.models:
        raise SettingsError(f"train run: there is no [models.{asked.model}] in {configured.models}")
    require_trained(known, asked.model)
    dataset = datasets.read(asked.pictures)
    quieten()
    # Imported here: torch and diffusers take seconds that the mistakes above need not wait for.
    from inference import device
    from inference.training import runs

    here = device.choose(configured.device, configured.threads)
    try:
        store, model = opened(known, asked.model, here, configured.vram_budget_bytes)
    except TaskError as error:
        raise WeightsError(f"{asked.model} cannot be loaded ({error}): `models list` says what it needs") from error
    plan = plan_of(_said(asked), () if asked.no_previews else asked.preview, dataset, model, here)
    print(
        f"{dataset.card.name}: {plan.steps} steps of {plan.batch * plan.accumulate} pictures at about"
        f" {plan.pixels} pixels, rank {plan.rank}, rate {plan.rate:g}, on {here.name}",
        flush=True,
    )
    with _stopping() as stopped:
        ended = runs.run(store, plan, dataset, asked.to, _Printing(stopped))
    if not ended:
        print("easel: stopped; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    print(f"{asked.to / plan.card.name}.safetensors")
    return 0


def require_trained(known: Catalog, name: str) -> None:
    """Raise SettingsError where nothing is trained for this model of the catalogue."""
    entry = known.models[name]
    if teaching.of(entry) is None:
        able = ", ".join(family.name for family in FAMILIES.values() if family.training is not None)
        raise SettingsError(
            f"{name} is of {entry.family} or kept in blocks, for which nothing is trained; for these as a whole: {able}"
        )


def opened(known: Catalog, name: str, here: Device, vram_budget_bytes: int | None) -> tuple[Store, PictureModel]:
    """A model of the catalogue as its makers made it, and the store that has it: what is trained on other weights, or
    in another precision, is of those. Raises TaskError where it cannot be loaded."""
    from inference.models.store import Store

    whole = msgspec.structs.replace(
        known.models[name], weights="full", compile=False, speed="full", offload="none", upscaler=None
    )
    catalog = replace(known, models={**known.models, name: whole})
    store = Store(catalog=catalog, device=here, vram_budget_bytes=vram_budget_bytes)
    return store, store.use(name, lambda: None)


def plan_of(
    said: Mapping[str, Any], previews: Sequence[str] | None, dataset: Dataset, model: PictureModel, here: Device
) -> Plan:
    """The plan for what is said of its fields; what is not, or is None, begins as the family does and the device holds
    it. `previews` are the first captions where they are None. Raises SettingsError."""
    from inference.models.handles import module_bytes

    training = teaching.of(model.entry)
    assert training is not None, "it was asked"
    room = (module_bytes(model.denoiser), here.free_bytes()) if here.is_cuda else None
    values: dict[str, Any] = plans.begin(model.entry, training, dataset.card.kind, room, model.scheduler_config)
    values |= {name: value for name, value in said.items() if value is not None}
    if said.get("batch") is not None and said.get("accumulate") is None:
        # Never less than is taken together.
        values["accumulate"] = -(-training.together // max(1, values["batch"]))
    captions = [item.caption for item in dataset.items]
    values |= {"model": model.name, "hashes": dict(model.hashes), "dataset": dataset.digest, "card": dataset.card}
    values["previews"] = tuple(captions[: plans.PREVIEWS] if previews is None else previews)
    return plans.make(values)


def _said(asked: argparse.Namespace) -> dict[str, Any]:
    said = {name.replace("-", "_"): getattr(asked, name.replace("-", "_")) for name in NUMBERS}
    said |= {name: getattr(asked, name) for name in ("textures", "encoders", "checkpointing", "prior")}
    if asked.resolution is not None:
        said["pixels"] = asked.resolution**2
    return said


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C and a polite kill are heard between two steps; a second Ctrl-C ends it at once."""
    asked = False

    def stop(number: int, _frame: object) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Printing:
    """Tells the terminal, and gives way to nobody: the bot's own way is its socket."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.is_stopped = stopped

    def give_way(self) -> None:
        return

    def step(self, step: int, steps: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            print(f"step {step} of {steps}: loss {loss:.4f}", flush=True)

    def epoch(self, epoch: int, epochs: int, loss: float, folder: Path) -> None:
        print(f"epoch {epoch} of {epochs}: loss {loss:.4f}, {folder}", flush=True)
