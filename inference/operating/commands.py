"""The command lines `python -m inference models …` and `evaluate`: what they take, and who does it; `train …` is
`training`'s."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from inference.catalog import fetching, profiles, reading
from inference.catalog.fetching import Step
from inference.errors import OperatorError, SettingsError, TaskError
from inference.models.policy import BUDGET_SHARE
from inference.operating import adding, checking, listing, trainer, training
from inference.operating.needs import Card
from inference.settings import Settings

if TYPE_CHECKING:
    Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/dxg")
"""One of these is there where a card is that torch could use: of NVIDIA, of AMD, or through Windows."""

INTERRUPTED = 130
"""The exit status of what Ctrl-C ended, as shells have it."""

OF_DOTENV = re.compile(r"(EASEL|HF|HUGGING_?FACE)_\w+")
"""What is taken from `.env`, which the bot reads too: it is where the engine will look."""


def add_commands(parsers: Parsers) -> None:
    """Let the command line know these commands."""
    models = parsers.add_parser("models", help="list, fetch, check and add models")
    what = models.add_subparsers(dest="what", metavar="WHAT", required=True)
    listed = what.add_parser("list", help="what the catalogue has, what is here, and what it needs")
    listed.add_argument("--memory", type=memory_bytes, metavar="8GB", help="say which a card of so much can hold")
    fetched = what.add_parser("fetch", help="download weights, with those of what they need")
    fetched.add_argument("names", nargs="+", metavar="NAME[@COMMIT]", help="a name, or its weights as of a commit")
    checked = what.add_parser("check", help="compare the weights that are here with their hashes; status 1 if broken")
    checked.add_argument("names", nargs="*", metavar="NAME", help="these alone")
    added = what.add_parser("add", help="write an entry for a file or folder of weights into models.toml")
    added.add_argument("place", type=Path, metavar="PLACE")
    added.add_argument("--name", help="what the entry is called")
    added.add_argument("--config", type=Path, metavar="DIR", help="its configurations, for odd sizes")
    added.add_argument("--memory", type=memory_bytes, metavar="8GB", help="what the card has that it is for")
    converted = what.add_parser("convert", help="make safetensors of pickled weights")
    converted.add_argument("place", type=Path, metavar="PLACE")
    profiled = what.add_parser("profile", help="measure how many pictures pay in a pass of this model here")
    profiled.add_argument("name", metavar="NAME")
    profiled.add_argument("--data", type=Path, metavar="DIR", required=True, help="the bot's data folder")
    evaluated = parsers.add_parser("evaluate", help="measure how good and how dear a model's pictures are")
    evaluated.set_defaults(what="evaluate")
    evaluated.add_argument("--model", required=True, metavar="NAME", help="a model of models.toml")
    evaluated.add_argument("--policy", metavar="WORDS", help="keep it so, and compare: weights=8bit,speed=draft")
    evaluated.add_argument("--pictures", type=int, metavar="N", help="how many are painted (the set's own number)")
    evaluated.add_argument("--prompts", metavar="SET", help="the set of prompts (the one for this model)")
    evaluated.add_argument("--classifier", metavar="NAME", help="the CLIP that compares pictures with words")
    evaluated.add_argument("--references", type=Path, metavar="DIR", help="pictures as they should be, for FID")
    evaluated.add_argument("--out", type=Path, metavar="DIR", help="for what is written (build/quality/NAME)")
    training.add_commands(parsers)


def environment(environ: Mapping[str, str], dotenv: Path = Path(".env")) -> dict[str, str]:
    """The environment over the lines of `.env` that are for models, as the bot hands it to the engine.

    Raises SettingsError where the file cannot be read.
    """
    try:
        lines = {name: value for name, value in dotenv_values(dotenv).items() if value and OF_DOTENV.fullmatch(name)}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{dotenv} cannot be read ({error}): save it as UTF-8 text") from error
    return {**lines, **environ}


def do(asked: argparse.Namespace, configured: Settings, quieten: Callable[[], None]) -> int:
    """Do what is asked for, print what came of it, and return the exit status. Raises OperatorError."""
    if asked.of == "train" and asked.what == "serve":
        return trainer.serve(asked.bot, configured, quieten)
    if asked.of == "train":
        return training.do(asked, configured, quieten)
    if asked.what == "convert":
        return _convert(asked.place)
    known = reading.load(configured.models)
    match asked.what:
        case "list":
            return listing.show(known, _card(configured, asked.memory))
        case "fetch":
            return _fetch(known, asked.names)
        case "check":
            return _check(known, asked.names)
        case "add":
            return adding.add(configured, known, asked.place, asked.name, asked.config, asked.memory, quieten)
        case "evaluate":
            return _evaluate(configured, known, asked, quieten)
        case _:
            return _profile(configured, known, asked.name, asked.data, quieten)


def memory_bytes(said: str) -> int:
    """What is meant by "8GB", "7.5 GB", "900MB" or "8"."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?(GB|MB)?", said.strip(), re.IGNORECASE | re.ASCII)
    number = 0 if found is None else int(float(found[1]) * (1e6 if (found[2] or "").upper() == "MB" else 1e9))
    if not 0 < number < 1e14:
        raise argparse.ArgumentTypeError(f"{said!r} is no memory of a card: write 8GB or 7.5GB")
    return number


def _card(configured: Settings, memory_bytes: int | None) -> Card | None:
    """The card that models are listed for: one of so much memory, or that which is here; None where there is none."""
    if memory_bytes is None:
        if configured.device == "cpu" or not any(map(os.path.exists, DRIVERS)):
            return None
        # Imported here: torch takes seconds.
        from inference import device

        here = device.choose(configured.device, configured.threads)
        if not here.is_cuda:
            return None
        memory_bytes = here.memory_bytes
    return Card(memory_bytes, configured.vram_budget_bytes or int(memory_bytes * BUDGET_SHARE))


def _fetch(known: reading.Catalog, wanted: list[str]) -> int:
    """Fetch all of these; what cannot be had does not keep the others from coming."""
    status, planned = 0, list[Step]()

    def refused(error: OperatorError) -> None:
        nonlocal status
        print(f"easel: {error}", file=sys.stderr)
        status = 2

    try:
        for name, _, revision in (one.partition("@") for one in wanted):
            try:
                steps = fetching.steps(known, name, revision or None)
            except OperatorError as error:
                refused(error)
                continue
            planned += [step for step in steps if step.entry not in [other.entry for other in planned]]
        fetching.require_room(planned)
        for step in planned:
            if step.size:
                print(f"{step.entry.title}: {listing.gigabytes(step.size)} to come", flush=True)
            try:
                for place in step.places():
                    print(place, flush=True)
            except OperatorError as error:
                refused(error)
    except KeyboardInterrupt:
        print("easel: stopped; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    for revision in (one.partition("@")[2] for one in wanted if status == 0 and "@" in one):
        print(f"easel: to use it, write revision = {revision!r} into models.toml", file=sys.stderr)
    return status


def _check(known: reading.Catalog, names: list[str]) -> int:
    """Print a line for each entry that is here; the status is 1 where one of them is broken."""
    broken = False
    for finding in checking.check(known, names):
        print(finding, flush=True)
        broken = broken or not finding.well
    return int(broken)


def _convert(place: Path) -> int:
    """Print what was made of the pickles there, and return the exit status."""
    # Imported here: torch takes seconds.
    from inference.models import converting

    for made in converting.convert(place):
        print(made)
    return 0


def _evaluate(
    configured: Settings, known: reading.Catalog, asked: argparse.Namespace, quieten: Callable[[], None]
) -> int:
    """Measure how good a model's pictures are, and return the exit status."""
    try:
        quieten()
        # Imported here: torch and diffusers take seconds.
        from inference.operating.quality.evaluating import Wanted, evaluate

        return evaluate(configured, known, Wanted(**{name: getattr(asked, name) for name in Wanted.__annotations__}))
    except KeyboardInterrupt:
        print("easel: stopped; the same command begins anew", file=sys.stderr)
        return INTERRUPTED


def _profile(configured: Settings, known: reading.Catalog, name: str, data: Path, quieten: Callable[[], None]) -> int:
    """Measure, print and keep how many pictures share a pass of this model, and return the exit status."""
    if not data.is_dir():
        raise SettingsError(f"--data {data} names no data folder of a bot: there is kept what is measured")
    if name not in known.models:
        raise SettingsError(f"models profile {name}: there is no [models.{name}] in {configured.models}")
    quieten()
    # Imported here: torch and diffusers take seconds that the mistakes above need not wait for.
    from inference import device, recipes
    from inference.operating import profiling

    chosen, entry = device.choose(configured.device, configured.threads), known.models[name]
    taken: dict[int, float] = {}
    try:
        for batch, seconds in profiling.measure(known, name, chosen, profiling.by_clock):
            taken[batch] = seconds
            print(f"{batch:2} in a pass: {seconds:8.3f} s, {batch / seconds:7.3f} pictures a second", flush=True)
    except TaskError as error:
        raise SettingsError(f"models profile {name}: it could not be painted with ({error})") from error
    best = profiling.choose(taken)
    if not chosen.is_cuda:
        print(f"{best} would pay; nothing is kept, for on a CPU it is `cpu_batch` in {configured.models} that counts")
        return 0
    profiles.keep(
        data,
        profiles.Profile(
            model=name,
            device=chosen.name,
            width=entry.width,
            height=entry.height,
            batch=best,
            seconds=taken,
            versions=dict(recipes.versions()),
            date=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        ),
    )
    print(f"{best} in a pass from the next start of the bot on, kept in {data / profiles.FILE}; it was {entry.batch}")
    if best != entry.batch:
        print("the same seeds will give the same pictures but for their last bits")
    return 0
