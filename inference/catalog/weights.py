"""Weights on this machine's disk: where a catalogue entry's lie, and which entries can be used.

Nothing here loads a model or uses the network. What a folder consists of is `layouts`' business.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from inference.catalog import architectures, headers, layouts
from inference.catalog.entries import (
    DETECTOR_FILES,
    AnnotatorEntry,
    CheckerEntry,
    Entry,
    FileEntry,
    FolderEntry,
    Kind,
    PipelineEntry,
    RestorerEntry,
    UpscalerEntry,
)
from inference.catalog.reading import KINDS, Catalog
from inference.errors import WeightsError

log = logging.getLogger(__name__)


def locate(catalog: Catalog, kind: Kind, name: str) -> Path | None:
    """Where an entry's weights lie on this machine, or None where they do not: a folder, or the first of its files.

    Weights that nothing here can read, and those of the hub that a cut fetch left incomplete, count as not there.
    Raises WeightsError, in one line, where what is there cannot be used. Never uses the network.
    """
    entry = catalog.entries(kind)[name]
    if not is_readable(entry):
        return None
    if isinstance(entry, FileEntry):
        files = entry_files(catalog, entry)
        if not all(file.is_file() for file in files):
            return None
        for file in files:
            headers.check(file)
        if isinstance(entry, UpscalerEntry) and entry.arch is None:
            _check_nature(files, entry)
        if isinstance(entry, RestorerEntry):
            architectures.nature(files[0], "restorer")
        return files[0]
    folder = _snapshot(entry) if entry.path is None else catalog.folder / entry.path
    if folder is None or not folder.exists():
        return None
    if not folder.is_dir():
        raise WeightsError(f"{folder} is one file, and must be a folder: docs/models.md says of what")
    try:
        layouts.check(folder, entry)
    except layouts.Incomplete:
        if entry.repo is not None:
            return None
        raise
    return folder


def _check_nature(files: list[Path], entry: UpscalerEntry) -> None:
    """Raise WeightsError where these files, which nobody describes, are no upscaler, or not what the entry says."""
    found = {architectures.nature(file, "upscaler") for file in files}
    if len(found) > 1:
        raise WeightsError(f"{files[0]} and {files[1]} are two kinds of networks, which cannot be mixed")
    (scale,) = {nature.scale for nature in found}
    if entry.scale not in (None, scale):
        raise WeightsError(f"{files[0]} enlarges {scale} times, not {entry.scale} as models.toml says: leave scale out")


def defects(catalog: Catalog) -> dict[tuple[Kind, str], str]:
    """Why weights that are there cannot be used, in one line for each such entry."""
    found: dict[tuple[Kind, str], str] = {}
    for kind in KINDS:
        for name in catalog.entries(kind):
            try:
                locate(catalog, kind, name)
            except WeightsError as error:
                found[kind, name] = str(error)
    return found


def is_readable(entry: Entry) -> bool:
    """Whether the library is installed that reads the weights of this entry."""
    return how_to_read(entry) is None


def how_to_read(entry: Entry) -> str | None:
    """What installs the library that reads the weights of this entry; None where it is here."""
    match entry:
        case AnnotatorEntry() if entry.kind in DETECTOR_FILES and find_spec("controlnet_aux") is None:
            return "pip install 'easel[annotators]'"
        case UpscalerEntry() | RestorerEntry() if find_spec("realesrgan") is None or find_spec("basicsr") is None:
            return "pip install --no-deps --no-build-isolation -r no-deps.txt"
        case _:
            return None


def entry_files(catalog: Catalog, entry: FileEntry) -> list[Path]:
    """The files that an upscaler or a LoRA is made of, its own weights first, whether they exist or not."""
    return [catalog.folder / file.place for file in in_use(catalog, entry)]


def in_use(catalog: Catalog, entry: FileEntry) -> tuple[FileEntry, ...]:
    """What the catalogue says of each of these files: of an upscaler's half, where that alone is on this machine."""
    half = entry.half if isinstance(entry, UpscalerEntry) else None
    if half is None or (catalog.folder / entry.place).exists() or not (catalog.folder / half.place).exists():
        return entry.files
    return (half, *entry.files[1:])


def available(catalog: Catalog, kind: Kind = "model") -> tuple[str, ...]:
    """The entries of this kind that can be used on this machine.

    A model needs its upscaler and its checker as well, a ControlNet its annotator.
    """
    return tuple(name for name in catalog.entries(kind) if _missing(catalog, kind, name) is None)


def _missing(catalog: Catalog, kind: Kind, name: str) -> tuple[Kind, str] | None:
    """The first of an entry and those that it needs whose weights are not on this machine."""
    entry = catalog.entries(kind)[name]
    partners = entry.needed_partners.items() if isinstance(entry, FolderEntry) else ()
    return next((one for one in ((kind, name), *partners) if not _is_here(catalog, *one)), None)


def _is_here(catalog: Catalog, kind: Kind, name: str) -> bool:
    try:
        return locate(catalog, kind, name) is not None
    except WeightsError:
        return False


def inventory(catalog: Catalog) -> dict[Kind, tuple[str, ...]]:
    """What can be used on this machine, of every kind, in the catalogue's order."""
    return {kind: available(catalog, kind) for kind in KINDS}


def require(catalog: Catalog) -> dict[Kind, tuple[str, ...]]:
    """What can be used on this machine, of every kind, the default model among it; nothing else must be there.

    Raises WeightsError, with what to do, where the default model could not paint.
    """
    inventoried = inventory(catalog)
    for (kind, name), reason in defects(catalog).items():
        log.warning("[%ss.%s] %s", kind, name, reason)
    if (missing := _missing(catalog, "model", catalog.default)) is not None:
        kind, name = missing
        which = f"{kind} {name} of the default model" if kind != "model" else "default model"
        if (install := how_to_read(catalog.entries(kind)[name])) is not None:
            raise WeightsError(f"the {which} {catalog.default} needs a library that is not here: {install}")
        # What is there and broken says so itself.
        locate(catalog, kind, name)
        here = inventoried["model"]
        instead = f"set default in models.toml to one of {', '.join(here)}" if here else "see what --list lists"
        raise WeightsError(
            f"the {which} {catalog.default} has no weights on this machine:"
            f" {_how_to_get(catalog, catalog.entries(kind)[name])}, or {instead}"
        )
    return inventoried


def _how_to_get(catalog: Catalog, entry: Entry) -> str:
    if is_fetchable(entry):
        return f"run python -m inference --fetch {catalog.default}"
    return f"put them into {catalog.folder / (entry.place if isinstance(entry, FileEntry) else str(entry.path))}"


def is_fetchable(entry: Entry) -> bool:
    """Whether the catalogue says where its weights, or some of them, can be fetched from."""
    if isinstance(entry, FileEntry):
        return any(file.url is not None for file in entry.files)
    return entry.repo is not None


def commit(entry: FolderEntry) -> str | None:
    """The commit of a hub model that is on this machine, complete or not."""
    # The hub's cache names a snapshot by its commit.
    return None if (folder := _snapshot(entry)) is None else folder.name


def _snapshot(entry: FolderEntry) -> Path | None:
    """A hub model's folder in the Hugging Face cache, complete or not."""
    # Imported here because it reads once, when imported, whether it may use the network.
    from huggingface_hub import try_to_load_from_cache

    # By one file that every folder has: the hub calls a snapshot incomplete that lacks what was never fetched.
    match entry:
        case PipelineEntry():
            indices: tuple[str, ...] = ("model_index.json",)
        case CheckerEntry():
            indices = ("config.json", f"{layouts.CHECKER}/config.json")
        case AnnotatorEntry() if entry.kind in DETECTOR_FILES:
            indices = DETECTOR_FILES[entry.kind][:1]
        case _:
            indices = ("config.json",)
    for index in indices:
        found = try_to_load_from_cache(str(entry.repo), index, revision=entry.revision)
        if isinstance(found, str):
            return Path(found).parents[index.count("/")]
    return None
