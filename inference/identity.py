"""What an engine is, in one word: the same word, the same bytes for the same request.

Nothing heavy is read: of files of weights their sizes and times count, not their bytes. What is exchanged on the disk
while an engine runs counts from its next start.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from inference import recipes
from inference.catalog import weights
from inference.catalog.entries import FileEntry, FolderEntry, ModelEntry
from inference.catalog.fields import Kind
from inference.catalog.reading import KINDS, Catalog
from inference.device import Device

CODE = Path(__file__).parent
"""A checkout may be between two versions: its own lines count as well."""


def identity(
    catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device, marks: object, vram_budget_bytes: int | None
) -> str:
    """The word for an engine on this device, with these entries of the catalogue (`weights.inventory`), whose pictures
    are marked so and whose weights may take so much."""
    worked_on = [device.name, device.memory_bytes, vram_budget_bytes]
    if not device.is_cuda:
        worked_on += [platform.machine(), torch.get_num_threads()]
    parts = [
        recipes.versions(),
        [sorted(_code())],
        worked_on,
        marks,
        {kind: catalog.entries(kind) for kind in KINDS},
        [catalog.styles, catalog.label_sets],
        [(kind, name, sorted(_files(catalog, kind, name))) for kind in KINDS for name in here[kind]],
    ]
    return hashlib.sha256(msgspec.json.encode(parts, enc_hook=str)).hexdigest()


def _code() -> Iterator[tuple[str, str]]:
    for file in CODE.rglob("*"):
        if file.suffix in (".py", ".json"):
            yield str(file.relative_to(CODE)), hashlib.sha256(file.read_bytes()).hexdigest()


def _files(catalog: Catalog, kind: Kind, name: str) -> Iterator[tuple[str, int, int]]:
    """Each of an entry's files: where, how large, and as of when."""
    entry = catalog.entries(kind)[name]
    for place in _places(catalog, kind, name, entry):
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file():
                stat = file.stat()
                yield str(file.relative_to(place)), stat.st_size, stat.st_mtime_ns


def _places(catalog: Catalog, kind: Kind, name: str, entry: Any) -> list[Path]:
    if isinstance(entry, FileEntry):
        return weights.entry_files(catalog, entry)
    assert isinstance(entry, FolderEntry)
    found = weights.locate(catalog, kind, name)
    named = [entry.vae, entry.config, *entry.parts.values()] if isinstance(entry, ModelEntry) else []
    return [*([] if found is None else [found]), *(catalog.folder / place for place in named if place)]
