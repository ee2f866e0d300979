"""Weights on this machine's disk: where a catalogue entry's lie, and which entries can be used.

Nothing here loads a model or uses the network. What a folder consists of is `layouts`' business.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from inference.catalog import architectures, assembly, ggufs, headers, layouts, published
from inference.catalog.assembly import Assembly
from inference.catalog.entries import (
    AnnotatorEntry,
    CheckerEntry,
    Entry,
    FileEntry,
    FolderEntry,
    LoraEntry,
    ModelEntry,
    PipelineEntry,
    RestorerEntry,
    UpscalerEntry,
)
from inference.catalog.fields import DETECTOR_FILES, INDEX, Kind
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
        if isinstance(entry, LoraEntry):
            published.check_family(files[0], {catalog.models[name].family for name in entry.models})
        if isinstance(entry, UpscalerEntry) and entry.arch is None:
            _check_nature(files, entry)
        if isinstance(entry, RestorerEntry):
            architectures.nature(files[0], "restorer")
        return files[0]
    place = _place(catalog, entry)
    if place is None or not place.exists():
        return None
    try:
        if isinstance(entry, ModelEntry):
            return None if _lacks_base(catalog, entry) else assemble(catalog, name, place).place
        if not place.is_dir():
            raise WeightsError(f"{place} is one file, and must be a folder: docs/models.md says of what")
        if isinstance(entry, PipelineEntry):
            place = layouts.pipeline_folder(place)
        layouts.check(place, entry)
    except layouts.Incomplete:
        if entry.repo is not None:
            return None
        raise
    return place


def assemble(catalog: Catalog, name: str, place: Path) -> Assembly:
    """What this model is put together from, whose weights lie there (`locate`); raises WeightsError as that does."""
    entry = catalog.models[name]
    named = {**entry.parts, **({} if entry.vae is None else {"vae": entry.vae})}
    elsewhere = {component: catalog.folder / path for component, path in named.items()}
    base = None if entry.base is None else locate(catalog, "model", entry.base)
    if place.is_dir():
        place = layouts.only_file(place) or place
    if place.is_dir():
        return assembly.of_folder(place, entry, elsewhere, base)
    if place.suffix in headers.PICKLES:
        raise WeightsError(f"{place} is a pickle: python -m inference models convert {place} makes safetensors of it")
    config = None if entry.config is None else catalog.folder / entry.config
    return assembly.of_file(place, entry, elsewhere, base, config)


def _lacks_base(catalog: Catalog, entry: ModelEntry) -> bool:
    return entry.base is not None and not _is_here(catalog, "model", entry.base)


def edits_only(catalog: Catalog, name: str) -> bool:
    """Whether this model, which is on this machine, paints nothing but masked parts of pictures."""
    place = locate(catalog, "model", name)
    return place is not None and assemble(catalog, name, place).edits_only


def _place(catalog: Catalog, entry: FolderEntry) -> Path | None:
    if (own := _own_place(entry)) is not None:
        return catalog.folder / own
    there = snapshot(entry)
    return there / entry.file if there and isinstance(entry, ModelEntry) and entry.file else there


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
        case ModelEntry() if str(entry.file or entry.place).endswith(ggufs.GGUF) and find_spec("gguf") is None:
            return "pip install 'easel[gguf]'"
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
    partners = [*entry.needed_partners.items()] if isinstance(entry, FolderEntry) else []
    # Without its base it is not here either, and that says less.
    ordered = sorted([(kind, name), *partners], key=lambda one: one[0] != "model" or one[1] == name)
    return next((one for one in ordered if not _is_here(catalog, *one)), None)


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
    broken = defects(catalog)
    for (kind, name), defect in broken.items():
        log.warning("[%ss.%s] %s", kind, name, defect)
    for name, remote in catalog.remotes.items():
        if (own := remote.checker) is not None and (why := reason(catalog, "checker", own)) is not None:
            log.warning("[models.%s] what it paints cannot be shown without its checker %s: %s", name, own, why)
    if not broken:
        log.info("the weights of %d entries are here, and whole by their sizes", sum(map(len, inventoried.values())))
    if (missing := _missing(catalog, "model", catalog.default)) is not None:
        kind, name = missing
        is_own = (kind, name) == ("model", catalog.default)
        which = "default model" if is_own else f"{_partner(kind)} {name} of the default model"
        if (install := how_to_read(catalog.entries(kind)[name])) is not None:
            raise WeightsError(f"the {which} {catalog.default} needs a library that is not here: {install}")
        # What is there and broken says so itself.
        locate(catalog, kind, name)
        here = inventoried["model"]
        instead = f"set default in models.toml to one of {', '.join(here)}" if here else "see what models list lists"
        raise WeightsError(
            f"the {which} {catalog.default} has no weights on this machine:"
            f" {_how_to_get(catalog, catalog.entries(kind)[name], catalog.default)}, or {instead}"
        )
    if edits_only(catalog, catalog.default):
        raise WeightsError(
            f"the default model {catalog.default} paints nothing but masked parts of pictures: set default in"
            " models.toml to another one"
        )
    return inventoried


def reason(catalog: Catalog, kind: Kind, name: str) -> str | None:
    """Why an entry cannot be used that is not broken, with what to do; None where it can."""
    missing = _missing(catalog, kind, name)
    if missing is None:
        return None
    entry = catalog.entries(missing[0])[missing[1]]
    what = "it" if missing == (kind, name) else f"its {_partner(missing[0])} {missing[1]}"
    if (install := how_to_read(entry)) is not None:
        return f"{what} needs a library that is not here: {install}"
    return f"{what} is not on this machine: {_how_to_get(catalog, entry, name)}"


def to_be_fetched(name: str) -> str:
    """The reason of an entry that only has to be fetched."""
    return f"it is not on this machine: {_fetching(name)}"


def _fetching(name: str) -> str:
    return f"run python -m inference models fetch {name}"


def _partner(kind: Kind) -> str:
    """What an entry of this kind is to one that names it."""
    return "base" if kind == "model" else kind


def _how_to_get(catalog: Catalog, entry: Entry, name: str) -> str:
    if is_fetchable(entry):
        return _fetching(name)
    return f"put them into {catalog.folder / str(_own_place(entry))}"


def _own_place(entry: Entry | FolderEntry) -> str | None:
    return entry.place if isinstance(entry, FileEntry | ModelEntry) else entry.path


def is_fetchable(entry: Entry) -> bool:
    """Whether the catalogue says where its weights, or some of them, can be fetched from."""
    if isinstance(entry, FileEntry):
        return any(file.url is not None for file in entry.files)
    return entry.repo is not None or (isinstance(entry, ModelEntry) and entry.url is not None)


def commit(entry: FolderEntry) -> str | None:
    """The commit of a hub model that is on this machine, complete or not."""
    # The hub's cache names a snapshot by its commit.
    return None if (folder := snapshot(entry)) is None else folder.name


def snapshot(entry: FolderEntry) -> Path | None:
    """A hub model's folder in the Hugging Face cache, complete or not."""
    # Imported here because it reads once, when imported, whether it may use the network.
    from huggingface_hub import try_to_load_from_cache

    # By one file that every folder has: the hub calls a snapshot incomplete that lacks what was never fetched.
    match entry:
        case ModelEntry(file=str(file)):
            indices: tuple[str, ...] = (file,)
        case PipelineEntry():
            indices = (INDEX,)
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
