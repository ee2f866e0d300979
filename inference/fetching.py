"""Downloads: the only module of this process that uses the network, and only when the operator asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from inference import weights
from inference.catalog import KINDS, Catalog
from inference.entries import (
    DETECTOR_FILES,
    AnnotatorEntry,
    CheckerEntry,
    ControlEntry,
    DecoderEntry,
    Entry,
    FileEntry,
    FolderEntry,
    Kind,
    PipelineEntry,
)
from inference.errors import CatalogError, WeightsError

FOLDER_FILES = ["*.json", "*.txt", "model.safetensors", "model-*.safetensors"]
"""What describing and classifying need of a transformers repository: many hold the same weights in other formats."""
NETWORK_FILES = ["config.json", "diffusion_pytorch_model.safetensors"]
CHECKER_FILES = [
    *("config.json", "preprocessor_config.json", "model.safetensors"),
    *(f"{weights.CHECKER}/{name}" for name in ("config.json", "model.safetensors")),
    f"{weights.EXTRACTOR}/preprocessor_config.json",
]
"""Of both layouts."""


def fetch(catalog: Catalog, name: str) -> Iterator[Path]:
    """Download what this name needs (`wanted`) and comes from somewhere, and say where each came to lie.

    Raises CatalogError where the catalogue has no such name, and WeightsError in one line where nothing can be
    fetched, nothing here could read it, the other side refuses or cannot be reached, or what came is not what the
    catalogue says.
    """
    entries = wanted(catalog, name)
    for entry in entries:
        if not weights.is_readable(entry):
            raise WeightsError(f"{entry.title} needs a library that is not here: pip install 'easel[annotators]'")
    fetchable = [entry for entry in entries if _comes_from_somewhere(entry)]
    if not fetchable:
        raise WeightsError(f"{entries[0].title} comes with its {_own_place(entries[0])} and cannot be fetched")
    for entry in fetchable:
        match entry:
            case FileEntry():
                yield from (_fetch_file(catalog.folder, file) for file in entry.files if file.url is not None)
            case PipelineEntry():
                yield _fetch_pipeline(entry)
            case DecoderEntry() | ControlEntry():
                yield _fetch_folder(entry, NETWORK_FILES)
            case CheckerEntry():
                yield _fetch_folder(entry, CHECKER_FILES)
            case AnnotatorEntry() if entry.kind in DETECTOR_FILES:
                yield _fetch_folder(entry, [*DETECTOR_FILES[entry.kind]])
            case _:
                yield _fetch_folder(entry, FOLDER_FILES)


def wanted(catalog: Catalog, name: str) -> list[Entry]:
    """Every entry of this name, and after it those that it names: a model's refiner, upscaler, checker and decoder, a
    ControlNet's annotator.

    Raises CatalogError where the catalogue has no such name.
    """
    named: list[tuple[Kind, str]] = [(kind, name) for kind in KINDS if name in catalog.entries(kind)]
    if not named:
        known = ", ".join(name for kind in KINDS for name in catalog.entries(kind))
        raise CatalogError(f"there is no model {name}: choose one of {known}")
    for kind, one in [*named]:
        entry = catalog.entries(kind)[one]
        if isinstance(entry, FolderEntry):
            named += entry.partners.items()
    return [catalog.entries(kind)[one] for kind, one in dict.fromkeys(named)]


def _comes_from_somewhere(entry: Entry) -> bool:
    if isinstance(entry, FileEntry):
        return any(file.url is not None for file in entry.files)
    return entry.repo is not None


def _own_place(entry: Entry) -> str:
    return f"file {entry.path}" if isinstance(entry, FileEntry) else f"folder {entry.path}"


def _fetch_file(folder: Path, file: FileEntry) -> Path:
    """A file of a public release, checked against its SHA-256 before it gets its name."""
    place, url = folder / file.place, str(file.url)
    if place.is_file() and file.sha256 in (None, weights.sha256(place)):
        return place
    # Imported here because torch takes seconds and nothing else in this module needs it.
    from torch.hub import download_url_to_file

    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        download_url_to_file(url, str(place), hash_prefix=file.sha256)
    except RuntimeError as error:
        raise WeightsError(f"{url} is another file than sha256 in models.toml says: {error}") from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{url} cannot be fetched from {urlsplit(url).hostname}: {reason}") from error
    return place


def _fetch_pipeline(entry: PipelineEntry) -> Path:
    """What a hub model's pipeline needs, and no more, in the ordinary Hugging Face cache."""
    # Imported here because it takes seconds and nothing else in this module needs it.
    from diffusers import DiffusionPipeline

    try:
        folder = DiffusionPipeline.download(
            entry.repo,
            revision=entry.revision,
            variant=entry.variant,
            use_safetensors=True,
            **dict.fromkeys(weights.UNUSED),
        )
    except (OSError, ValueError) as error:
        raise _refused(entry, error) from error
    return _whole(entry, Path(folder))


def _fetch_folder(entry: FolderEntry, files: list[str]) -> Path:
    """What a hub repository has of these files, in the ordinary Hugging Face cache."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(str(entry.repo), revision=entry.revision, allow_patterns=files)
    except (OSError, ValueError) as error:
        raise _refused(entry, error) from error
    return _whole(entry, Path(folder))


def _refused(entry: FolderEntry, error: Exception) -> WeightsError:
    # Where the hub does not answer, the libraries look into the cache instead and raise what they found out last.
    cause = error.__cause__ or error
    return WeightsError(f"{entry.repo} cannot be fetched: {' '.join(str(cause).split())}")


def _whole(entry: FolderEntry, folder: Path) -> Path:
    if not weights.is_complete(folder, entry):
        raise WeightsError(f"{entry.repo} came incomplete into {folder}: run the same command again")
    return folder
