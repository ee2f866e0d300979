"""`make bench-gpu`: every family beside the bare call of diffusers, and what is checked with it, in under nine minutes.

For a machine with a card. `MODEL=sdxl make bench-gpu` measures one model instead: seconds for a picture and the most
memory taken, for every way in which a card can keep it. Prints a table and writes build/gpu.json.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers.utils.logging
import msgspec
import torch
import transformers.utils.logging

from benchmarks import beside, both_ways, families, parts, timings
from benchmarks.architectures import ARCHITECTURES
from benchmarks.findings import Check, Found
from benchmarks.timings import Timing, timing
from inference import device, settings
from inference.catalog import reading, weights
from inference.catalog.entries import ModelEntry
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device, is_out_of_memory
from inference.errors import OperatorError, OutOfMemory
from inference.families import FAMILIES
from inference.models.store import Store

ALL_S = 510.0
"""For everything: what was begun before is waited for, and the program ends before nine minutes are over."""
EACH_S = 60.0
UPSCALERS = ("x4plus", "animevideov3")
"""What is enlarged with: the large one, else the one that comes with Easel."""
CLASSIFIERS = ("clip-vit-large-patch14", "clip-vit-base-patch32", "starter")
DESCRIBERS = ("florence-2-base", "florence-2-large", "starter")
"""What is asked about pictures: a published one, else the one that comes with Easel."""
SIDE = 1024
BESIDE_S = 40.0
"""Of the time for everything, what enlarging and asking may take."""
Measure = Callable[[Catalog, str, Device, int, int], tuple[beside.Row, bool]]
WHOLE: dict[str, Any] = {"offload": "none", "vae_tiling": False}


def main() -> int:
    """Measure one model after the other; nothing else should use the card."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--model", help="the ways to keep this entry of models.toml instead of every family")
    parser.add_argument("--pictures", type=int, default=5, help="how many are timed of each kind at most (5)")
    parser.add_argument("--seconds", type=float, default=ALL_S, help=f"for all families together ({ALL_S:.0f})")
    parser.add_argument("--compile", action="store_true", help="with denoisers compiled, as compile = true does")
    asked = parser.parse_args()
    configured = settings.read(os.environ)
    try:
        known = reading.load(configured.models)
        if asked.model is not None and asked.model not in weights.available(known):
            message = (
                f"the model {asked.model} is not on this machine: run python -m inference models fetch {asked.model}"
            )
            raise OperatorError(message)
        chosen = device.choose(configured.device, configured.threads)
        if not chosen.is_cuda:
            raise OperatorError("this machine has no card that torch sees, and on a CPU there is one policy alone")
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    path = Path("build/gpu.json")
    conditions: dict[str, object] = {"device": chosen.name, "memory_bytes": chosen.memory_bytes}
    if asked.model is not None:
        figures = measure(known, asked.model, chosen, asked.pictures)
        print(timings.table(figures))
        timings.write(path, figures, conditions | {"model": asked.model})
        print(f"written to {path}")
        return 0
    # What an operator's own catalogue calls otherwise is not looked for in it.
    models = {name: made_of for name, made_of in ARCHITECTURES.items() if name in known.models}
    if asked.compile:
        bear_it = [name for name in models if FAMILIES[known.models[name].family].denoiser.compiles]
        entries = {name: msgspec.structs.replace(known.models[name], compile=True) for name in bear_it}
        known = replace(known, models={**known.models, **entries})
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
    found = families.measure(known, models, chosen, asked.pictures, EACH_S, asked.seconds - BESIDE_S)
    enlarge(known, chosen, SIDE, asked.pictures, found)
    ask(known, chosen, asked.pictures, found)
    for name in [name for name in ARCHITECTURES if name not in models]:
        found.left_out[name] = "is no entry of models.toml"
    print(told(found))
    timings.write(path, [], conditions | {"compiled": asked.compile} | asdict(found))
    print(f"written to {path}")
    return 0 if all(check.holds for check in found.checks) else 1


def enlarge(known: Catalog, chosen: Device, side: int, pictures: int, found: Found) -> None:
    """Measure the first of the upscalers that is here, and add what comes of it to what was found."""
    here = [name for name in UPSCALERS if name in known.upscalers and weights.locate(known, "upscaler", name)]
    if not here:
        found.left_out["upscalers"] = f"none of {', '.join(UPSCALERS)} is here"
        return
    row, alike = parts.enlarged(known, here[0], chosen, side, pictures)
    found.rows.append(row)
    found.checks.append(Check(f"{here[0]}: as Real-ESRGAN's own", alike >= parts.ALIKE_DB, f"{alike:.1f} dB"))


def ask(known: Catalog, chosen: Device, pairs: int, found: Found, batches: tuple[int, int] | None = None) -> None:
    """Measure the first of the classifiers and the first of the describers that are here, with as many pictures in a
    pass as their entries say unless `batches` does, and add what comes of it to what was found."""
    kinds: tuple[tuple[Kind, tuple[str, ...], Measure], ...] = (
        ("classifier", CLASSIFIERS, parts.classified),
        ("describer", DESCRIBERS, parts.described),
    )
    for place, (kind, names, measured) in enumerate(kinds):
        here = [name for name in names if name in known.entries(kind) and weights.locate(known, kind, name)]
        if not here:
            found.left_out[f"{kind}s"] = f"none of {', '.join(names)} is here"
            continue
        batch = known.places(kind, here[0], on_gpu=True) if batches is None else batches[place]
        row, alike = measured(known, here[0], chosen, batch, pairs)
        found.rows.append(row)
        found.checks.append(Check(f"{kind} {here[0]}: the same answers alone and beside others", alike, f"n {batch}"))


def told(found: Found) -> str:
    """Figures, checks, and what was left out, as text."""
    lines = [beside.table(found.rows)] if found.rows else []
    lines += [f"{'holds' if check.holds else 'FAILS'}  {check.name}  {check.note}".rstrip() for check in found.checks]
    lines += [f"left out  {name}: {why}" for name, why in found.left_out.items()]
    return "\n".join(lines)


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
    if find_spec("gguf"):
        yield "int4 weights", {**WHOLE, "weights": "int4"}
        yield "int4 weights, one part at a time", {"offload": "model", "vae_tiling": False, "weights": "int4"}
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
    began_s = time.perf_counter()
    both_ways.paint([both_ways.request(entry, name, number, entry.steps)], 1, store, incoming)
    return time.perf_counter() - began_s


if __name__ == "__main__":
    sys.exit(main())
