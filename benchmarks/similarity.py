"""`make similarity`: what smaller weights and drafts do to pictures, at the same seeds, and what a model takes.

On a card as it is; without one the same arithmetic runs on the CPU, slowly, for those weights that do without a card.
Prints a table and writes build/similarity.json. `MODEL=sdxl make similarity` looks at another model than the default.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray
from skimage import metrics

from benchmarks import timings
from benchmarks.timings import Timing, timing
from inference import device, settings
from inference.catalog import reading, weights
from inference.catalog.fields import Precision
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import OperatorError
from inference.exchange.outputs import Files
from inference.exchange.reports import Reporter
from inference.models import policy
from inference.models.placement import EXTRAS, LIBRARIES
from inference.models.store import Store
from inference.operating.quality.painting import AsOnCard
from inference.painting import session
from inference.painting.session import Painting
from inference.protocol import Imagine

PROMPTS = ("a red house on a meadow at night", "two blue boats at sea", "a green car in the city", "a cat in the snow")


def main() -> int:
    """Paint with whole weights, then with each smaller form that is installed, then drafts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.similarity")
    parser.add_argument("--model", help="an entry of models.toml (its default)")
    parser.add_argument("--pictures", type=int, default=8, help="how many are compared (8)")
    parser.add_argument("--steps", type=int, help="of each picture (the entry's own)")
    asked = parser.parse_args()
    configured = settings.read(os.environ)
    try:
        known = reading.load(configured.models)
        name = asked.model or known.default
        if name not in weights.available(known):
            raise OperatorError(f"the model {name} is not on this machine: run python -m inference models fetch {name}")
        if asked.steps is not None:
            entry = msgspec.structs.replace(known.models[name], steps=asked.steps)
            known = replace(known, models={**known.models, name: entry})
        chosen = device.choose(configured.device, configured.threads)
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    if not chosen.is_cuda:
        chosen = AsOnCard(where=chosen.where, name=chosen.name, memory_bytes=chosen.memory_bytes)
    figures = list(compare(known, name, chosen, asked.pictures))
    print(timings.table(figures))
    path = Path("build/similarity.json")
    timings.write(path, figures, {"device": chosen.name, "model": name})
    print(f"written to {path}")
    return 0


def compare(known: Catalog, name: str, chosen: Device, pictures: int) -> Iterator[Timing]:
    """How alike pictures are to those of whole weights, in decibels and SSIM, and the bytes of all weights; of drafts
    the CPU seconds instead.
    """
    whole, whole_bytes, whole_s = _painted(known, name, chosen, {}, pictures)
    yield timing("whole weights take", [whole_bytes / 1e6], "MB")
    yield timing("  CPU seconds", whole_s, "s")
    for form in get_args(Precision):
        if form == "full":
            continue
        if find_spec(LIBRARIES[form]) is None:
            print(f"{form}: not installed, {EXTRAS[LIBRARIES[form]]} has it", file=sys.stderr)
            continue
        try:
            smaller, taken, _ = _painted(known, name, chosen, {"weights": form}, pictures)
        except OperatorError as error:
            print(f"{form}: {error}", file=sys.stderr)
            continue
        yield timing(f"{form} weights take", [taken / 1e6], "MB")
        yield from _alike(whole, smaller)
    steps = known.models[name].steps
    if skipped := len(policy.skipped(steps)):
        drafts, _, draft_s = _painted(known, name, chosen, {"speed": "draft"}, pictures)
        yield timing(f"drafts without {skipped} of {steps} steps", draft_s, "s")
        yield from _alike(whole, drafts)


def _alike(whole: list[NDArray[np.uint8]], others: list[NDArray[np.uint8]]) -> Iterator[Timing]:
    pairs = list(zip(whole, others, strict=True))
    like: Any = metrics
    yield timing("  PSNR", [min(99.0, float(like.peak_signal_noise_ratio(*pair))) for pair in pairs], "dB")
    yield timing("  SSIM", [float(like.structural_similarity(*pair, channel_axis=2)) for pair in pairs], "")


def _painted(
    known: Catalog, name: str, chosen: Device, fields: dict[str, Any], pictures: int
) -> tuple[list[NDArray[np.uint8]], int, list[float]]:
    """Pictures of the same words and seeds for every way, what the model takes, and the CPU seconds of all but the
    first."""
    plain = {"weights": "full", "upscaler": None, "checker": None, "decoder": None, "batch": 1, "offload": "none"}
    entry = msgspec.structs.replace(known.models[name], **plain | fields)
    store = Store(catalog=replace(known, models={**known.models, name: entry}), device=chosen)
    made: list[NDArray[np.uint8]] = []
    seconds: list[float] = []
    with TemporaryDirectory() as folder:
        report = Reporter(lambda _: None, Files(Path(folder)))
        for number in range(pictures):
            request = Imagine(
                job=number,
                model=name,
                prompt=PROMPTS[number % len(PROMPTS)],
                seed=number,
                steps=entry.steps,
                guidance=entry.guidance,
                sampler=entry.sampler,
                width=entry.width,
                height=entry.height,
            )
            began_s = time.process_time()
            report.accept(number)
            report.begin(number)
            for painting in session.paint([request], {}, store, report):
                if not isinstance(painting, Painting):
                    raise RuntimeError(f"it was not painted: {painting.error}")
                made.append(np.asarray(painting.image.convert("RGB")))
            seconds.append(time.process_time() - began_s)
        report.close()
    return made, store.resident()[f"model {name}"], seconds[1:] or seconds


if __name__ == "__main__":
    sys.exit(main())
