"""Which number of pictures in a pass pays, measured by painting: `python -m inference models profile MODEL`.

Every pass of a model on a card has one number of pictures, so that the same seed gives the same bytes, and is filled up
where there are fewer. More in a pass are more pictures a second while many wait, and a longer wait for one alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import msgspec

from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device, is_out_of_memory
from inference.errors import OutOfMemory, SettingsError
from inference.models.policy import Policy
from inference.models.store import Store
from inference.painting import alone

CANDIDATES = (1, 2, 4, 8, 16)
GAIN = 1.2
"""So many times as many pictures a second as from half as many in a pass, or those who are alone wait for nothing."""

PASSES = 3
"""Measured of each, after one that is not."""


def measure(
    known: Catalog, name: str, device: Device, seconds: Callable[[Callable[[], None]], float]
) -> Iterator[tuple[int, float]]:
    """Each number of pictures that was tried, and the median of how long a pass of as many takes; ends with the first
    that does not pay.

    `seconds` runs something and tells how long it took. Raises SettingsError for a model whose passes have one picture
    in any case, and TaskError or WeightsError where not even one can be painted.
    """
    if not alone.paints_from_words(known.models[name]):
        raise SettingsError(f"{name} paints nothing without a picture: `models profile` has no use for it")
    taken: dict[int, float] = {}
    first: Policy | None = None
    for batch in CANDIDATES:
        try:
            kept_as, passes_s = _passes(known, name, batch, device, seconds)
        except Exception as error:
            if batch == 1 or not (isinstance(error, OutOfMemory) or is_out_of_memory(error)):
                raise
            return
        finally:
            device.release_cache()
        first = first or kept_as
        if kept_as != first:
            return  # with so many it would have to be kept in a slower way
        taken[batch] = statistics.median(passes_s)
        yield batch, taken[batch]
        if choose(taken) != batch:
            return


def by_clock(work: Callable[[], None]) -> float:
    """How many seconds it takes, by the clock."""
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def choose(seconds: Mapping[int, float]) -> int:
    """The number that pays, of how long passes of so many pictures take."""
    best, *others = sorted(seconds)
    for batch in others:
        if batch / seconds[batch] < GAIN * best / seconds[best]:
            break
        best = batch
    return best


def _passes(
    known: Catalog, name: str, batch: int, device: Device, seconds: Callable[[Callable[[], None]], float]
) -> tuple[Policy, list[float]]:
    """How the model is kept, and how long each of PASSES passes of so many pictures takes."""
    entry = msgspec.structs.replace(known.models[name], batch=batch, cpu_batch=batch, upscaler=None, checker=None)
    # A store of its own for each number: how the model is kept depends on that.
    store = Store(catalog=replace(known, models={**known.models, name: entry}), device=device)
    policy = store.use(name, lambda: None).policy
    return policy, [seconds(lambda: _paint(store, name, entry, batch)) for _ in range(PASSES + 1)][1:]


def _paint(store: Store, name: str, entry: ModelEntry, batch: int) -> None:
    """One full pass of jobs at the model's own size and settings, and their pictures. Raises TaskError."""
    requests = [alone.request(name, entry, job, "a red house", seed=job) for job in range(batch)]
    with store.lease():
        for _ in alone.paint(requests, store):
            pass
