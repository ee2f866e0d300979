"""What an engine is made of that lies on the disk, in one word: catalogue, weights, code, versions. Nothing heavy is
read or imported: of files of weights their sizes and times count, not their bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from inference.catalog import weights
from inference.catalog.entries import FileEntry, FolderEntry, ModelEntry
from inference.catalog.fields import Kind
from inference.catalog.reading import KINDS, Catalog
from inference.catalog.versions import versions
from inference.catalog.wildcards import Wildcards

CODE = Path(__file__).parents[1]
"""A checkout may be between two versions: its own lines count as well."""


def of(catalog: Catalog, here: Mapping[Kind, Sequence[str]], settings: object) -> str:
    """The word by which an engine is known again before it has said what it can do: the same word, the same `Ready`,
    on the same machine. `settings` is all else that it was told."""
    offered = [catalog.default, catalog.checker, Wildcards(catalog.wildcards).names()]
    return word([parts(catalog, here), offered, settings])


def parts(catalog: Catalog, here: Mapping[Kind, Sequence[str]]) -> list[object]:
    """Everything of an engine with these entries of the catalogue (`weights.inventory`) that lies on the disk."""
    return [
        versions(),
        sorted(_code()),
        {kind: catalog.entries(kind) for kind in KINDS},
        [catalog.styles, catalog.label_sets],
        [(kind, name, sorted(_files(catalog, kind, name))) for kind in KINDS for name in here[kind]],
    ]


def word(parts: object) -> str:
    """The same for the same parts, 64 hex digits."""
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
