"""Every family at its published size: Easel's way from a job to its files beside the bare call of diffusers.

Both run in this process on the same weights, warm, in turn, within a time for each model and one for all. What is
checked besides is no time: bits, numbers, and that nothing is warned of. Without a card the same code runs on whatever
small models it is given; `gpu` is the program.
"""

from __future__ import annotations

import itertools
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import torch
from PIL import Image

from benchmarks import architectures, compiling, parts
from benchmarks.architectures import Architecture
from benchmarks.beside import Row
from benchmarks.both_ways import Bare, paint, request
from benchmarks.findings import Check, Found
from inference.catalog import layouts, weights
from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device, is_out_of_memory
from inference.families import FAMILIES
from inference.families.record import load_class
from inference.models import placement
from inference.models.store import Store
from inference.painting import setups
from inference.protocol import Imagine
from inference.silence import silenced

JOBS = 8
"""How many are asked for at once."""
GOALS = {"sdxl": 1 / 1.25, "sd15": 1 / 1.4, "sdxl-turbo": 1 / 1.8, "sd35-large-turbo": 1 / 1.3, "flux2-klein": 1 / 1.3}
"""What one picture shall take of the bare call's time at most, on an H100 or H200."""
AT_ONCE_GOALS = {"sdxl": 1 / 0.98, "sd15": 1 / 2.0, "sdxl-turbo": 1 / 2.0}
SWITCHED = ("sdxl", "sd15")
"""Models that come back from the machine's memory too."""
COMPILED = ("sd15",)
"""Models of which also what compiling takes is measured, where that is asked for."""
BYTES_PER_S = 5e8
"""How fast a model is made and written, until one was."""
LIBRARIES = ("", "diffusers", "transformers")
"""Loggers with handlers of their own do not pass on what they say."""


def measure(
    known: Catalog,
    models: Mapping[str, Architecture],
    chosen: Device,
    pairs: int,
    each_s: float,
    all_s: float,
    changed: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> Found:
    """Measure these models of the catalogue one after the other, each with random weights where its own are not here.

    After `each_s` seconds with one of them, or `all_s` in all, nothing more is begun; what runs then is waited for.
    `changed` makes their architectures small, by model and component.
    """
    found = Found()
    ends_s, bytes_per_s = time.monotonic() + all_s, BYTES_PER_S
    for name, made_of in models.items():
        began_s = time.monotonic()
        if began_s >= ends_s:
            found.left_out[name] = "not reached in the time for all"
            continue
        entry = known.models[name]
        dtype = placement.dtype(entry, chosen)
        small = (changed or {}).get(name, {})
        try:
            with TemporaryDirectory() as folder:
                here = weights.locate(known, "model", name)
                if here is not None and here.is_dir():
                    place, pipeline = None, _of_weights(entry, here, dtype, chosen)
                else:
                    family = FAMILIES[entry.family]
                    blank = torch.device("meta")
                    size_bytes = architectures.size_bytes(architectures.pipeline(made_of, family, blank, dtype, small))
                    # Made and written, and then read.
                    if began_s + 2 * size_bytes / bytes_per_s > ends_s:
                        found.left_out[name] = "no time was left to make it"
                        continue
                    if not architectures.fits(Path(folder), size_bytes):
                        found.left_out[name] = f"no room for {size_bytes / 1e9:.0f} GB in {Path(folder).parent}"
                        continue
                    torch.manual_seed(0)
                    place = Path(folder)
                    pipeline = architectures.pipeline(made_of, family, chosen.where, dtype, small)
                    architectures.save(pipeline, place)
                    bytes_per_s = size_bytes / max(1e-3, time.monotonic() - began_s)
                until_s = min(ends_s, began_s + each_s)
                steps = made_of.steps or entry.steps
                _one(_with(known, name, place), name, steps, pipeline, chosen, pairs, until_s, found)
        except Exception as error:  # of one model, whatever it is: the others are measured all the same
            full = is_out_of_memory(error)
            found.left_out[name] = "does not fit beside its baseline" if full else f"{type(error).__name__}: {error}"
            if not full:
                found.checks.append(Check(f"{name}: paints", False, str(error)))
        pipeline = None
        chosen.release_cache()
    return found


def _with(known: Catalog, name: str, place: Path | None) -> Catalog:
    """The catalogue with this model alone, and nothing after it that the bare call lacks."""
    entry = msgspec.structs.replace(known.models[name], upscaler=None, checker=None, refiner=None)
    if place is not None:
        entry = msgspec.structs.replace(entry, path=str(place), repo=None, revision=None, variant=None, file=None)
    return replace(known, models={**known.models, name: entry})


def _of_weights(entry: ModelEntry, here: Path, dtype: torch.dtype, chosen: Device) -> Any:
    """The bare pipeline of a model whose folder is here."""
    folder, family = layouts.pipeline_folder(here), FAMILIES[entry.family]
    kind = load_class(family.pipeline)
    # Easel looks at pictures with checkers of its own, which are left out here too.
    without = dict.fromkeys({*layouts.UNUSED} & {*kind._optional_components})
    with silenced("diffusers", "transformers"):
        made = kind.from_pretrained(
            folder,
            torch_dtype=dtype,
            variant=layouts.variant_of(folder, entry.variant),
            local_files_only=True,
            **without,
            **family.settings,
        )
    return made.to(chosen.where)


def _one(
    known: Catalog, name: str, steps: int, pipeline: Any, chosen: Device, pairs: int, until_s: float, found: Found
) -> None:
    entry = known.models[name]
    store, label = Store(catalog=known, device=chosen), f"{entry.title}, {entry.width} px, {steps} steps"
    batch = setups.canonical_batch(known, name, entry.width, entry.height, chosen)
    family = FAMILIES[entry.family]
    call = Bare(pipeline, family, entry)
    with TemporaryDirectory() as folder, _heard() as heard:
        incoming = Path(folder)
        numbers = itertools.count(1)

        def ask(count: int) -> list[Imagine]:
            # Words are encoded anew each time, as another member's would be.
            return [request(entry, name, next(numbers), steps) for _ in range(count)]

        same = request(entry, name, 0, steps)
        alone = paint([same], batch, store, incoming)[0]
        others = ask(batch - 1)
        beside = paint([*others, same], batch, store, incoming)[-1] if others else alone
        again = paint([same], batch, store, incoming)[0]
        found.checks += [
            Check(f"{name}: the same bits alone, again, and as the last of {batch}", alone == beside == again),
            Check(
                f"{name}: not one colour, and its seed decides",
                _lively(alone, paint(ask(1), batch, store, incoming)[0]),
            ),
        ]
        call(ask(1))
        for what, goal, jobs, most in (
            (label, GOALS.get(name), 1, pairs),
            (f"  {JOBS} at once", AT_ONCE_GOALS.get(name), JOBS, max(1, pairs // 3) if batch > 1 else 0),
        ):
            row = _pairs(what, goal, most, until_s, chosen, ask, jobs, call, batch, store, incoming)
            if row is not None:
                found.rows.append(row)
            elif most:
                found.left_out[name] = "its time was over" + (f" before {JOBS} at once" if jobs > 1 else "")
                break
        if name in SWITCHED and time.monotonic() < until_s:
            # The store's own lets go of it first: three of one model would be too many.
            store.let_go()
            found.rows.append(parts.switched(known, name, chosen, max(1, pairs // 2)))
        if name in COMPILED and entry.compile and time.monotonic() < until_s:
            store.let_go()
            compiling.measure(known, name, chosen, pairs, found)
    found.checks.append(Check(f"{name}: nothing was warned of", not heard, "; ".join(dict.fromkeys(heard))[:500]))


def _pairs(
    label: str,
    goal: float | None,
    pairs: int,
    until_s: float,
    chosen: Device,
    ask: Callable[[int], list[Imagine]],
    jobs: int,
    call: Bare,
    batch: int,
    store: Store,
    incoming: Path,
) -> Row | None:
    """Both ways in turn, until the time is over; None where no pair was begun in it."""
    measured: list[tuple[float, float]] = []
    for number in range(pairs):
        if time.monotonic() >= until_s:
            break
        requests = ask(jobs)
        seconds: dict[str, float] = {}
        # By turns also within the pair: who goes second finds the card as the first left it.
        for way in ("ours", "bare") if number % 2 else ("bare", "ours"):
            chosen.settle()
            began_s = time.perf_counter()
            if way == "ours":
                paint(requests, batch, store, incoming)
            else:
                call(requests)
            chosen.settle()
            seconds[way] = time.perf_counter() - began_s
        measured.append((seconds["ours"], seconds["bare"]))
    if not measured:
        return None
    ours, theirs = (statistics.median(side) for side in zip(*measured, strict=True))
    ratio = statistics.median(mine / other for mine, other in measured)
    return Row(label, goal, len(measured), "s", ours, theirs, ratio, ratio)


def _lively(data: bytes, other: bytes) -> bool:
    """Whether two pictures of other words and seeds differ, and none of them is of one colour, as what is no number
    becomes."""
    first, second = (Image.open(BytesIO(each)).convert("RGB") for each in (data, other))
    return len({*first.tobytes()}) > 3 and first.tobytes() != second.tobytes()


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What Python and the libraries warn of meanwhile."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear(logging.WARNING)
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    for logger in loggers:
        logger.addHandler(ear)
    try:
        with warnings.catch_warnings(record=True) as warned:
            # As Python begins.
            warnings.simplefilter("default")
            for unseen in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", unseen)
            yield heard
        heard += [str(each.message) for each in warned]
    finally:
        for logger in loggers:
            logger.removeHandler(ear)
