"""Downloads: the only module of this process that uses the network, and only when the operator asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from inference.catalog import downloading, ggufs, hashes, headers, hub, layouts, ncnn, weights
from inference.catalog.downloading import Source
from inference.catalog.entries import (
    AnnotatorEntry,
    CheckerEntry,
    ControlEntry,
    DecoderEntry,
    Entry,
    FileEntry,
    FolderEntry,
    HalfEntry,
    ModelEntry,
    UpscalerEntry,
)
from inference.catalog.fields import DETECTOR_FILES, Kind
from inference.catalog.reading import KINDS, Catalog
from inference.errors import CatalogError, WeightsError

log = logging.getLogger(__name__)

FOLDER_FILES = ["*.json", "*.txt", "model.safetensors", "model-*.safetensors"]
"""What describing and classifying need of a transformers repository: many hold the same weights in other formats."""
NETWORK_FILES = ["config.json", "diffusion_pytorch_model.safetensors"]
CHECKER_FILES = [
    *("config.json", "preprocessor_config.json", "model.safetensors"),
    *(f"{layouts.CHECKER}/{name}" for name in ("config.json", "model.safetensors")),
    f"{layouts.EXTRACTOR}/preprocessor_config.json",
]
"""Of both layouts."""


class Step(NamedTuple):
    """One entry that is fetched."""

    entry: Entry
    size: int | None
    """How many bytes are still to come; None where only its server knows."""
    places: Callable[[], Iterator[Path]]
    """Fetches it, and says where it came to lie; raises WeightsError in one line."""


def fetch(catalog: Catalog, name: str, revision: str | None = None) -> Iterator[Path]:
    """Download what this name needs, and say where each came to lie; raises as `steps` does, and WeightsError where the
    other side refuses or cannot be reached, or what came is not what the catalogue says."""
    planned = steps(catalog, name, revision)
    require_room(planned)
    for step in planned:
        yield from step.places()


def steps(catalog: Catalog, name: str, revision: str | None = None) -> list[Step]:
    """What of this name and of what it needs (`wanted`) comes from somewhere.

    With a revision, a commit of the hub such as a recipe names, the entries of this very name come from there and
    nothing else comes. Raises CatalogError where the catalogue has no such name, and WeightsError in one line where
    nothing can be fetched, nothing here could read it, or the hub does not say what there is.
    """
    entries = wanted(catalog, name) if revision is None else _at(revision, catalog, name)
    for entry in entries:
        if (install := weights.how_to_read(entry)) is not None:
            raise WeightsError(f"{entry.title} needs a library that is not here: {install}")
    fetchable = [entry for entry in entries if weights.is_fetchable(entry)]
    if not fetchable:
        raise WeightsError(f"{entries[0].title} comes with its {_own_place(entries[0])} and cannot be fetched")
    return [_step(catalog.folder, entry) for entry in fetchable]


def require_room(planned: Iterable[Step]) -> None:
    """Raise WeightsError where the disk has no room for what the hub says is to come. Others are asked on the way."""
    if to_come := sum(step.size or 0 for step in planned):
        downloading.require_room(hub.cache(), to_come)


def _step(folder: Path, entry: Entry) -> Step:
    match entry:
        case FileEntry():
            return Step(entry, None, lambda: _files(folder, entry))
        case ModelEntry() if entry.url is not None:
            alone = FileEntry(path=entry.place, url=entry.url, sha256=entry.sha256)
            return Step(entry, None, lambda: iter([_fetch_file(folder, alone, None)]))
        case DecoderEntry() | ControlEntry():
            patterns = NETWORK_FILES
        case CheckerEntry():
            patterns = CHECKER_FILES
        case AnnotatorEntry() if entry.kind in DETECTOR_FILES:
            patterns = [*DETECTOR_FILES[entry.kind]]
        case _:
            patterns = FOLDER_FILES
    ordered = hub.order(entry, patterns)
    return Step(entry, ordered.size, lambda: iter([_whole(entry, hub.bring(ordered))]))


def _files(folder: Path, entry: FileEntry) -> Iterator[Path]:
    """Fetch those files of an entry that come from a release page."""
    for file in entry.files:
        if file.url is not None:
            yield _fetch_file(folder, file, entry.half if isinstance(entry, UpscalerEntry) and file is entry else None)


def wanted(catalog: Catalog, name: str) -> list[Entry]:
    """Every entry of this name, and after it those that it names: a model's base, refiner, upscaler, checker and
    decoder, a ControlNet's annotator.

    Raises CatalogError where the catalogue has no such name.
    """
    named = _named(catalog, name)
    for kind, one in [*named]:
        entry = catalog.entries(kind)[one]
        if isinstance(entry, FolderEntry):
            named += entry.partners.items()
    return [catalog.entries(kind)[one] for kind, one in dict.fromkeys(named)]


def _named(catalog: Catalog, name: str) -> list[tuple[Kind, str]]:
    named: list[tuple[Kind, str]] = [(kind, name) for kind in KINDS if name in catalog.entries(kind)]
    if not named:
        known = ", ".join(name for kind in KINDS for name in catalog.entries(kind))
        raise CatalogError(f"there is no model {name}: choose one of {known}")
    return named


def _at(revision: str, catalog: Catalog, name: str) -> list[Entry]:
    """The entries of this name that come from the hub, at another revision than the catalogue's."""
    own = [catalog.entries(kind)[name] for kind, name in _named(catalog, name)]
    of_hub = [entry for entry in own if isinstance(entry, FolderEntry) and entry.repo is not None]
    if not of_hub:
        raise WeightsError(f"{name} does not come from the hub and has no revisions: `models fetch {name}` is all")
    return [msgspec.structs.replace(entry, revision=revision) for entry in of_hub]


def _own_place(entry: Entry) -> str:
    one_file = isinstance(entry, FileEntry) or (entry.path or "").endswith(
        (headers.SAFETENSORS, ggufs.GGUF, *headers.PICKLES)
    )
    return f"file {entry.path}" if one_file else f"folder {entry.path}"


def _fetch_file(folder: Path, file: FileEntry, half: HalfEntry | None) -> Path:
    """A file of a public release, which gets its name when it is whole and what the catalogue says; else its half."""
    place = folder / file.place
    if not _is_right(place, file):
        try:
            downloading.download(Source(url=str(file.url), digest=file.sha256), place)
        except WeightsError as error:
            if half is None:
                raise
            return _make_half(folder, half, error)
    return place


def _make_half(folder: Path, half: HalfEntry, unreached: WeightsError) -> Path:
    """The same network in half precision, from a package of this machine, where the release cannot be reached."""
    place = folder / half.place
    if not _is_right(place, half):
        if half.ncnn is None:
            raise unreached
        try:
            ncnn.convert(half.ncnn, place)
        except WeightsError as error:
            raise WeightsError(f"{unreached}; {error}") from unreached
        if not _is_right(place, half):
            raise WeightsError(f"{place} did not become what sha256 in models.toml says") from unreached
    log.warning("%s: so it is used in half precision", unreached)
    return place


def _is_right(place: Path, file: FileEntry) -> bool:
    if not place.is_file():
        return False
    try:
        headers.check(place)
        return file.sha256 in (None, hashes.sha256(place))
    except (OSError, WeightsError):
        return False


def _whole(entry: FolderEntry, folder: Path) -> Path:
    if isinstance(entry, ModelEntry) and entry.file is not None:
        return _whole_file(entry, folder / entry.file, entry.file)
    try:
        layouts.check(folder, entry)
    except layouts.Incomplete as error:
        raise WeightsError(f"{entry.repo} came incomplete, run the same command again: {error}") from error
    except WeightsError as error:
        raise WeightsError(f"{entry.repo} has a file that cannot be used: {error}") from error
    return folder


def _whole_file(entry: ModelEntry, file: Path, name: str) -> Path:
    """One file of a hub repository, as sound as its name promises."""
    if entry.sha256 not in (None, digest := hashes.sha256(file)):
        raise WeightsError(f"{entry.repo} has another {name} than sha256 in models.toml says: its own is {digest}")
    headers.check(file, called=name)
    return file
