"""What compiling a model costs, and what it has to be done for: the first picture with blocks compiled and with the
whole denoiser, again with what was kept on the disk, and with another LoRA; and CUDA graphs of compiled blocks, which
Easel does not use, beside none.

`gpu --compile` calls it on a card. On a CPU the same code runs with whatever stands in for kernels.
"""

from __future__ import annotations

import importlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import msgspec
import torch
from safetensors.torch import save_file

from benchmarks import both_ways
from benchmarks.beside import Row
from benchmarks.findings import Check, Found
from inference.catalog.entries import LoraEntry
from inference.catalog.reading import Catalog
from inference.device import Device, is_out_of_memory
from inference.models import placement
from inference.models.handles import PictureModel
from inference.models.store import Store
from inference.protocol import Lora

BLOCKS_GOAL = 0.25
AGAIN_GOAL = 0.35
GRAPHS = {"mode": "reduce-overhead"}
"""How torch is told to replay what it compiled as CUDA graphs."""
RANKS = {"one": 16, "other": 32}
STEPS = 20
"""Of pictures that are timed, at most."""
ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")
"""What the random LoRAs change."""


def measure(known: Catalog, name: str, chosen: Device, pairs: int, found: Found) -> None:
    """Add what compiling this model of the catalogue takes, whose weights are here, to what was found.

    What was compiled before in this process is forgotten, and what lies in its cache is left alone.
    """
    with TemporaryDirectory() as folder:
        entries = {
            one: LoraEntry(title=one, path=str(Path(folder) / f"{one}.safetensors"), models=(name,)) for one in RANKS
        }
        painting = _Painting(replace(known, loras=entries), name, chosen, Path(folder))
        with _inductor().fresh_cache():
            with painting.model() as model:
                blocks_s = painting.first_s()
                _exchange(painting, model, blocks_s, pairs, found)
            with painting.model():
                again_s = painting.first_s()
        with _inductor().fresh_cache(), painting.model(compiles=False) as model:
            model.denoiser.compile(**placement.COMPILING)
            whole_s = painting.first_s()
        found.rows += [
            _row("  first picture, blocks compiled, beside the whole", BLOCKS_GOAL, [(blocks_s, whole_s)]),
            _row("  the same from what was kept, beside cold", AGAIN_GOAL, [(again_s, blocks_s)]),
        ]
        _replay(painting, pairs, found)


class _Painting:
    """Pictures of one model."""

    def __init__(self, known: Catalog, name: str, chosen: Device, incoming: Path) -> None:
        self.known, self.name, self.chosen, self._incoming = known, name, chosen, incoming
        self._numbers = itertools.count(1)
        self._store: Store | None = None

    @contextmanager
    def model(self, compiles: bool = True) -> Iterator[PictureModel]:
        """Within, its model is loaded, with nothing compiled yet; blocks will be, if wanted, when they first work."""
        torch.compiler.reset()
        _inductor().clear_caches()
        entry = msgspec.structs.replace(self.known.models[self.name], compile=compiles)
        known = replace(self.known, models={**self.known.models, self.name: entry})
        self._store = Store(catalog=known, device=self.chosen)
        try:
            yield self._store.use(self.name, _nothing)
        finally:
            self._store = None
            self.chosen.release_cache()

    def first_s(self) -> float:
        """Seconds of a picture of one step, with all that it has to be compiled."""
        return _seconds(lambda: self.paint(steps=1), self.chosen)

    def paint(self, steps: int, number: int | None = None, loras: tuple[Lora, ...] = ()) -> bytes:
        """The pixels of a picture with words of its own, or those of this number."""
        assert self._store is not None, "the model is loaded"
        entry = self.known.models[self.name]
        asked = both_ways.request(entry, self.name, next(self._numbers) if number is None else number, steps)
        return both_ways.paint([msgspec.structs.replace(asked, loras=loras)], 1, self._store, self._incoming)[0]


def _exchange(painting: _Painting, model: PictureModel, blocks_s: float, pairs: int, found: Found) -> None:
    """One LoRA after the other, two and none, with what was compiled."""
    ways = [*((Lora(one, 0.8),) for one in RANKS), (Lora("one", 0.3),), tuple(Lora(one, 0.5) for one in RANKS), ()]
    _write_loras(model, painting.known)
    base, compiled = painting.paint(1, number=0), _graphs()
    seconds = []
    for loras in [*ways, *ways[:-1]] * -(-pairs // len(ways)):
        began_s = time.perf_counter()
        painting.paint(1, loras=loras)
        painting.chosen.settle()
        seconds.append(time.perf_counter() - began_s)
    same, anew = painting.paint(1, number=0) == base, _graphs() - compiled
    found.rows.append(
        _row("  with other LoRAs, beside compiling", None, [(each, blocks_s) for each in seconds[len(ways) :]])
    )
    title = f"{painting.name}: other LoRAs compile nothing anew and leave the base its bits"
    found.checks.append(Check(title, same and not anew, f"{anew} graphs in {len(seconds)} changes"))


def _replay(painting: _Painting, pairs: int, found: Found) -> None:
    """Compiled blocks as CUDA graphs beside the same without: seconds, and whether bits stay and come again."""
    steps = min(painting.known.models[painting.name].steps, STEPS)
    seconds: dict[str, list[float]] = {}
    pictures: dict[str, list[bytes]] = {}
    try:
        for way, further in (("plain", {}), ("replayed", GRAPHS)):
            compiling = mock.patch.object(placement, "COMPILING", {**placement.COMPILING, **further})
            with _inductor().fresh_cache(), compiling, painting.model() as model:
                if further:
                    # What a step left may be written over by the next.
                    model.denoiser.register_forward_pre_hook(_begin_step)
                for _ in range(2):
                    painting.paint(steps)
                pictures[way] = [painting.paint(steps, number=0) for _ in range(2)]
                seconds[way] = [_seconds(lambda: painting.paint(steps), painting.chosen) for _ in range(pairs)]
    except Exception as error:  # whatever CUDA graphs make of it: that is what is asked here
        why = "does not fit" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
        found.left_out[f"{painting.name} with CUDA graphs"] = why
        return
    found.rows.append(
        _row("  CUDA graphs beside none", None, [*zip(seconds["replayed"], seconds["plain"], strict=True)])
    )
    one, other = pictures["replayed"]
    title = f"{painting.name}: CUDA graphs give the same bits again, and those without"
    found.checks.append(Check(title, one == other == pictures["plain"][0]))


def _write_loras(model: PictureModel, known: Catalog) -> None:
    """Two random ones for the model's denoiser, as diffusers writes them, where the catalogue has them."""
    generator = torch.Generator().manual_seed(0)
    layers = {
        f"{model.family.denoiser.component}.{name}": layer
        for name, layer in model.denoiser.named_modules()
        if isinstance(layer, torch.nn.Linear) and name.endswith(ADAPTED)
    }
    for one, rank in RANKS.items():
        tensors: dict[str, torch.Tensor] = {}
        for name, layer in layers.items():
            down = torch.randn(rank, layer.in_features, generator=generator)
            up = torch.randn(layer.out_features, rank, generator=generator)
            tensors |= {f"{name}.lora_A.weight": down / layer.in_features**0.5, f"{name}.lora_B.weight": 0.01 * up}
        save_file(tensors, known.loras[one].place)


def _seconds(work: Callable[[], object], chosen: Device) -> float:
    chosen.settle()
    began_s = time.perf_counter()
    work()
    chosen.settle()
    return time.perf_counter() - began_s


def _row(name: str, goal: float | None, measured: Sequence[tuple[float, float]]) -> Row:
    ours, theirs = (statistics.median(side) for side in zip(*measured, strict=True))
    ratio = statistics.median(mine / other for mine, other in measured)
    return Row(name, goal, len(measured), "s", ours, theirs, ratio, ratio)


def _graphs() -> int:
    """How many were compiled in this process since it forgot all of them."""
    counted: int = importlib.import_module("torch._dynamo.utils").counters["stats"]["unique_graphs"]
    return counted


def _inductor() -> Any:
    """torch's, which is imported with all of Triton when something is compiled."""
    return importlib.import_module("torch._inductor.utils")


def _begin_step(*_: object) -> None:
    begin: Any = torch.compiler.cudagraph_mark_step_begin
    begin()


def _nothing() -> None:
    pass
