"""Paints a set of prompts as members would get it, and says what that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from PIL import Image

from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device, DtypeName, is_out_of_memory
from inference.errors import OutOfMemory
from inference.models.policy import Policy
from inference.models.store import Store
from inference.operating.quality.prompts import Asked
from inference.painting import alone
from inference.painting.session import Painting
from inference.protocol import Imagine


class AsOnCard(Device):
    """A CPU on which models are kept as on a card: smaller weights are computed with, slowly."""

    is_cuda = True

    def dtype(self, wanted: DtypeName, auto: object = None) -> torch.dtype:
        return torch.float32

    def settle(self) -> None:
        return

    def free_bytes(self) -> int:
        return self.memory_bytes


@dataclass(frozen=True, kw_only=True)
class Painted:
    """The pictures of a set of prompts, in its order, and what they took."""

    files: Sequence[Path]
    seconds: Sequence[float]
    """Of a picture in each full pass but the first, or in the only one."""
    weights_bytes: int
    peak_bytes: int | None
    """The most that was taken of a card's memory; None without one."""
    policy: Policy
    """How the model was kept at the end."""

    def pictures(self) -> Iterator[Image.Image]:
        """The pictures, one in memory at a time."""
        for file in self.files:
            with Image.open(file) as picture:
                yield picture.convert("RGB")


def paint(
    known: Catalog,
    name: str,
    entry: ModelEntry,
    device: Device,
    asked: Sequence[Asked],
    folder: Path,
    told: Callable[[int], object],
) -> Painted:
    """Paint these prompts with the model as this entry has it, into files of a folder, which is made.

    `told` hears of each pass how many pictures it had. Raises TaskError where a picture cannot be painted, WeightsError
    where weights do not load, OSError where the folder cannot be written.
    """
    # What its checker thinks of pictures is no matter of their quality, and nobody sees a preview.
    entry = msgspec.structs.replace(entry, checker=None, decoder=None)
    store = Store(catalog=replace(known, models={**known.models, name: entry}), device=device)
    on_card = device.where.type == "cuda"
    taken_before = 0
    if on_card:
        torch.cuda.reset_peak_memory_stats(device.where)
        taken_before = torch.cuda.memory_allocated(device.where)
    folder.mkdir(parents=True, exist_ok=True)
    files, seconds = [folder / f"{place:05}.png" for place in range(len(asked))], []
    batch = entry.batch if device.is_cuda else entry.cpu_batch
    for first in range(0, len(asked), batch):
        requests = [
            alone.request(name, entry, first + place, one.text, one.seed)
            for place, one in enumerate(asked[first : first + batch])
        ]
        began_s = time.perf_counter()
        made = _pass(requests, store)
        if len(requests) == batch or not first:
            seconds.append((time.perf_counter() - began_s) / len(requests))
        for painting in made:
            painting.image.convert("RGB").save(files[painting.request.job])
        told(len(requests))
    return Painted(
        files=files,
        # Loading is part of the first.
        seconds=seconds[1:] or seconds,
        weights_bytes=store.resident()[f"model {name}"],
        peak_bytes=torch.cuda.max_memory_allocated(device.where) - taken_before if on_card else None,
        policy=store.use(name, lambda: None, entry.width * entry.height).policy,
    )


def _pass(requests: Sequence[Imagine], store: Store) -> list[Painting]:
    """All pictures of these requests; where the memory is full, made again in thriftier ways, as an engine does."""
    with store.lease():
        while True:
            try:
                return list(alone.paint(requests, store))
            except Exception as error:
                if not (isinstance(error, OutOfMemory) or is_out_of_memory(error)):
                    raise
            if not store.economise():
                raise OutOfMemory("no_room", name=requests[0].model)
