"""`make bench-gpu`: seconds for a picture and the most memory taken, for every way in which a card can keep a model.

For a machine with a card; `MODEL=sdxl make bench-gpu` measures another model than the default. Prints a table and
writes build/gpu.json.
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
from typing import Any

import msgspec
import torch
from PIL import Image

from benchmarks import timings
from benchmarks.timings import Timing, timing
from inference import device, settings
from inference.catalog import reading, weights
from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device, is_out_of_memory
from inference.errors import OperatorError, OutOfMemory
from inference.exchange.outputs import Files
from inference.exchange.reports import Reporter
from inference.families import FAMILIES
from inference.models.store import Store
from inference.pictures import images
from inference.protocol import Event, Failed, Imagine, Input, sha256_of
from inference.tasks import imagine

PROMPT = "a red house on a meadow at night"
WHOLE: dict[str, Any] = {"offload": "none", "vae_tiling": False}


def main() -> int:
    """Measure one policy after the other; nothing else should use the card."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--model", help="an entry of models.toml (its default)")
    parser.add_argument("--pictures", type=int, default=5, help="how many are timed with each policy (5)")
    asked = parser.parse_args()
    configured = settings.read(os.environ)
    try:
        known = reading.load(configured.models)
        name = asked.model or known.default
        if name not in weights.available(known):
            raise OperatorError(f"the model {name} is not on this machine: run python -m inference --fetch {name}")
        chosen = device.choose(configured.device, configured.threads)
        if not chosen.is_cuda:
            raise OperatorError("this machine has no card that torch sees, and on a CPU there is one policy alone")
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    figures = measure(known, name, chosen, asked.pictures)
    print(timings.table(figures))
    path = Path("build/gpu.json")
    conditions = {"device": chosen.name, "memory_bytes": chosen.memory_bytes, "model": name}
    timings.write(path, figures, conditions)
    print(f"written to {path}")
    return 0


def measure(known: Catalog, name: str, chosen: Device, pictures: int) -> list[Timing]:
    """Seconds and memory of every policy that this model can be kept with; no figures for one that does not fit."""
    figures = []
    for label, fields in ways(known.models[name]):
        entry = msgspec.structs.replace(known.models[name], upscaler=None, checker=None, **fields)
        try:
            seconds, peak_bytes = _painted(replace(known, models={**known.models, name: entry}), name, chosen, pictures)
        except (OutOfMemory, RuntimeError) as error:
            if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
                raise
            print(f"{label}: does not fit", file=sys.stderr)
        else:
            figures += [timing(label, seconds), timing("  most memory", [peak_bytes / 1e9], "GB")]
        chosen.release_cache()
    return figures


def ways(entry: ModelEntry) -> Iterator[tuple[str, dict[str, Any]]]:
    """The ways in which a model can be kept here, as fields of its entry."""
    yield "whole", WHOLE
    yield "in tiles", {"offload": "none", "vae_tiling": True}
    yield "one part at a time", {"offload": "model", "vae_tiling": False}
    yield "one layer at a time", {"offload": "group", "vae_tiling": False}
    yield "one layer at a time, in tiles", {"offload": "group", "vae_tiling": True}
    denoiser = FAMILIES[entry.family].denoiser
    if denoiser.channels_last:
        yield "channels last", {**WHOLE, "channels_last": True}
    if denoiser.sliced_attention:
        yield "sliced attention", {**WHOLE, "attention": "sliced"}
    if denoiser.compiles:
        yield "compiled", {**WHOLE, "compile": True}
    if find_spec("xformers"):
        yield "xformers", {**WHOLE, "attention": "xformers"}
    if find_spec("flash_attn") and denoiser.attention_backends and not denoiser.masked_attention:
        yield "flash attention", {**WHOLE, "attention": "flash"}
    if find_spec("torchao"):
        yield "8-bit weights", {**WHOLE, "weights": "8bit"}
        yield "8-bit weights, one part at a time", {"offload": "model", "vae_tiling": False, "weights": "8bit"}
        yield "fp8 weights", {**WHOLE, "weights": "fp8"}
    if find_spec("bitsandbytes"):
        yield "NF4 weights", {**WHOLE, "weights": "nf4"}
        yield "NF4 weights, one part at a time", {"offload": "model", "vae_tiling": False, "weights": "nf4"}


def _painted(known: Catalog, name: str, chosen: Device, pictures: int) -> tuple[list[float], int]:
    """Seconds of each picture after the first two, which load, compile and warm up; and the peak in bytes."""
    store = Store(catalog=known, device=chosen)
    on_card = chosen.where.type == "cuda"
    if on_card:
        torch.cuda.reset_peak_memory_stats(chosen.where)
    with TemporaryDirectory() as incoming:
        seconds = [
            _painting_s(known.models[name], name, number, store, Path(incoming)) for number in range(pictures + 2)
        ]
    return seconds[2:], torch.cuda.max_memory_allocated(chosen.where) if on_card else 0


def _painting_s(entry: ModelEntry, name: str, number: int, store: Store, incoming: Path) -> float:
    """Seconds of one picture."""
    filled = _filled(entry) if FAMILIES[entry.family].fills else {}
    image, mask = [Input(sha256, entry.width, entry.height) for sha256 in filled] or (None, None)
    request = Imagine(
        job=number,
        model=name,
        # Its words are encoded anew each time, as another member's would be.
        prompt=f"{PROMPT}, number {number}",
        seed=number,
        steps=entry.steps,
        guidance=entry.guidance,
        sampler=entry.sampler,
        width=entry.width,
        height=entry.height,
        image=image,
        mask=mask,
    )
    events: list[Event] = []
    report = Reporter(events.append, Files(incoming))
    report.accept(request.job)
    report.begin(request.job)
    began_s = time.perf_counter()
    with store.lease():
        imagine.run([request], filled, store, report)
    report.close()
    if failed := [event for event in events if isinstance(event, Failed)]:
        raise RuntimeError(f"it was not painted: {failed[0].reason}")
    return time.perf_counter() - began_s


def _filled(entry: ModelEntry) -> dict[str, bytes]:
    """A picture of the model's size and a mask of its middle, by their hashes: for a model that does nothing else."""
    size = entry.width, entry.height
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
    return {sha256_of(data): data for data in (images.png(Image.new("RGB", size, "grey"), {}), images.png(mask, {}))}


if __name__ == "__main__":
    sys.exit(main())
