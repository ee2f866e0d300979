"""`models check`: whether the weights that are here are those that somebody once named, byte by byte."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from inference.catalog import hashes, hub, layouts, weights
from inference.catalog.entries import Entry, FileEntry, FolderEntry, ModelEntry
from inference.catalog.fields import Kind
from inference.catalog.reading import KINDS, Catalog
from inference.errors import CatalogError, WeightsError


class Finding(NamedTuple):
    """One entry that is here, whole or not."""

    kind: Kind
    name: str
    well: bool
    said: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.well else 'BROKEN'}  [{self.kind}s.{self.name}] {' '.join(self.said.split())}"


def check(catalog: Catalog, names: Collection[str] = ()) -> Iterator[Finding]:
    """Read all that is here of these entries, or of all. Raises CatalogError where there is none of such a name."""
    known = {name for kind in KINDS for name in catalog.entries(kind)}
    for name in names:
        if name not in known:
            raise CatalogError(f"there is no model {name}: choose one of {', '.join(sorted(known))}")
    for kind in KINDS:
        for name, entry in catalog.entries(kind).items():
            if names and name not in names:
                continue
            finding = _found(catalog, kind, name, entry)
            if finding is not None:
                yield finding
            elif names:
                yield Finding(kind, name, True, "it is not here")


def _found(catalog: Catalog, kind: Kind, name: str, entry: Entry) -> Finding | None:
    """How an entry's weights are; None where nothing of them is here."""
    again = f"python -m inference models fetch {name}" if weights.is_fetchable(entry) else "bring it here again"
    try:
        place = weights.locate(catalog, kind, name)
    except WeightsError as error:
        return Finding(kind, name, False, f"{error}: {again}")
    if place is None:
        if (unfinished := _unfinished(catalog, entry)) is not None:
            size = unfinished.stat().st_size / 1e9
            return Finding(kind, name, False, f"its download broke off after {size:.3f} GB of a file: {again} goes on")
        if isinstance(entry, FolderEntry) and entry.repo is not None and (lacking := _lacking(entry)) is not None:
            return Finding(kind, name, False, f"{lacking}: {again} goes on")
        return None
    files, compared = _files(catalog, name, entry, place), 0
    for file, digest in files:
        if digest is None:
            continue
        compared += 1
        if (own := hashes.of_kind(file, digest)) != digest:
            return Finding(kind, name, False, f"{file} is not what it was: its SHA is {own}, not {digest}: {again}")
    size = sum(file.stat().st_size for file, _ in files) / 1e9
    known = f"{compared} of {len(files)} files have the hashes that they should"
    return Finding(kind, name, True, f"{size:.3f} GB; {known if compared else 'whole, and no hashes are known'}")


def _files(catalog: Catalog, name: str, entry: Entry, place: Path) -> list[tuple[Path, str | None]]:
    """Every file of an entry that is here, with its digest where that is known: from models.toml, or from the hub."""
    if isinstance(entry, FileEntry):
        used = weights.in_use(catalog, entry)
        return [(catalog.folder / file.place, file.sha256) for file in used]
    if isinstance(entry, ModelEntry) and place.is_file():
        return [(place, entry.sha256 or hub.digest_of(place))]
    files = [file for file in sorted(place.rglob("*")) if file.is_file()]
    return [(file, hub.digest_of(file)) for file in files]


def _unfinished(catalog: Catalog, entry: Entry) -> Path | None:
    """What came of a file whose download broke off."""
    if isinstance(entry, FolderEntry) and entry.repo is not None:
        # Other entries may be of the same repository.
        begun = weights.snapshot(entry) is not None or (isinstance(entry, ModelEntry) and entry.file is not None)
        return hub.unfinished(entry) if begun else None
    places = [file.place for file in entry.files] if isinstance(entry, FileEntry) else []
    if isinstance(entry, ModelEntry) and entry.url is not None:
        places = [str(entry.place)]
    parts = [(catalog.folder / place).with_name(f"{Path(place).name}.part") for place in places]
    return next((part for part in parts if part.is_file()), None)


def _lacking(entry: FolderEntry) -> str | None:
    """What a commit in the cache lacks; None where nothing of it is there."""
    folder = weights.snapshot(entry)
    if folder is None:
        return None
    try:
        layouts.check(folder, entry)
    except WeightsError as error:
        return str(error)
    return None
