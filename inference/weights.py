"""Weights on this machine's disk: where a catalogue entry's lie, whether they are complete, how large, which.

Nothing here loads a model or uses the network.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from inference.catalog import KINDS, Catalog
from inference.entries import (
    DETECTOR_FILES,
    AnnotatorEntry,
    AnnotatorKind,
    CheckerEntry,
    ControlEntry,
    DecoderEntry,
    Entry,
    FileEntry,
    FolderEntry,
    Kind,
    PipelineEntry,
)
from inference.errors import WeightsError

UNUSED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Components of published pipelines that painting does not use; they are neither fetched nor loaded with it."""

DENOISERS = ("unet", "transformer")
TOKENIZERS = ("tokenizer.json", "vocab.json")
"""A tokenizer as transformers writes it today, or as it was written before."""
CHECKER, EXTRACTOR = "safety_checker", "feature_extractor"
"""The folders of a checker, where it has two: as in a pipeline's own folder."""


def locate(catalog: Catalog, kind: Kind, name: str) -> Path | None:
    """Where an entry's complete weights lie on this machine, or None: a folder, or the first of its files.

    Weights that nothing here can read count as not there. Never uses the network.
    """
    entry = catalog.entries(kind)[name]
    if not is_readable(entry):
        return None
    if isinstance(entry, FileEntry):
        files = entry_files(catalog, entry)
        return files[0] if all(file.is_file() for file in files) else None
    folder = catalog.folder / entry.path if entry.path is not None else _snapshot(entry)
    return folder if folder is not None and is_complete(folder, entry) else None


def is_readable(entry: Entry) -> bool:
    """Whether the library is installed that reads the weights of this entry: that of some annotators is an extra."""
    detected = isinstance(entry, AnnotatorEntry) and entry.kind in DETECTOR_FILES
    return not detected or find_spec("controlnet_aux") is not None


def entry_files(catalog: Catalog, entry: FileEntry) -> list[Path]:
    """The files that an upscaler or a LoRA is made of, its own weights first, whether they exist or not."""
    return [catalog.folder / file.place for file in entry.files]


def available(catalog: Catalog, kind: Kind = "model") -> tuple[str, ...]:
    """The entries of this kind that can be used on this machine.

    A model needs its upscaler and its checker as well, a ControlNet its annotator.
    """
    return tuple(name for name in catalog.entries(kind) if _missing(catalog, kind, name) is None)


def _missing(catalog: Catalog, kind: Kind, name: str) -> tuple[Kind, str] | None:
    """The first of an entry and those that it needs whose weights are not on this machine."""
    entry = catalog.entries(kind)[name]
    partners = entry.needed_partners.items() if isinstance(entry, FolderEntry) else ()
    return next((one for one in ((kind, name), *partners) if locate(catalog, *one) is None), None)


def inventory(catalog: Catalog) -> dict[Kind, tuple[str, ...]]:
    """What can be used on this machine, of every kind, in the catalogue's order."""
    return {kind: available(catalog, kind) for kind in KINDS}


def require(catalog: Catalog) -> dict[Kind, tuple[str, ...]]:
    """What can be used on this machine, of every kind, the default model among it; nothing else must be there.

    Raises WeightsError, with what to do, where the default model could not paint.
    """
    inventoried = inventory(catalog)
    here = inventoried["model"]
    if not here:
        raise WeightsError(
            "no model of the catalogue has its weights on this machine:"
            f" run python -m inference --fetch {catalog.default}, or see python -m inference --list"
        )
    if (missing := _missing(catalog, "model", catalog.default)) is not None:
        kind, name = missing
        which = f"{kind} {name} of the default model" if kind != "model" else "default model"
        raise WeightsError(
            f"the {which} {catalog.default} has no weights on this machine: run python -m inference"
            f" --fetch {catalog.default}, or set default in models.toml to one of {', '.join(here)}"
        )
    return inventoried


def is_complete(folder: Path, entry: FolderEntry) -> bool:
    """Whether a folder holds every file that its layout promises (a fetch may have been cut)."""
    try:
        match entry:
            case PipelineEntry():
                files = [file for part in component_files(folder, entry.variant).values() for file in part]
            case DecoderEntry() | ControlEntry():
                files = diffusers_files(folder)
            case CheckerEntry():
                files = checker_files(folder)
            case AnnotatorEntry():
                files = annotator_files(folder, entry.kind)
            case _:
                files = transformer_files(folder)
    except (OSError, ValueError, msgspec.DecodeError):
        return False
    return all(file.is_file() for file in files)


def transformer_files(folder: Path) -> list[Path]:
    """The weight files of a transformers folder, whether they exist or not.

    Raises OSError or ValueError where its configuration or the files of its processor are missing, and
    msgspec.DecodeError where the list of its shards is broken.
    """
    for needed in (("config.json",), ("preprocessor_config.json", "processor_config.json"), TOKENIZERS):
        _require_file(folder, *needed)
    return _weight_files(folder, "model", None)


def diffusers_files(folder: Path) -> list[Path]:
    """The weight files of a single network's diffusers folder, on the same terms."""
    _require_file(folder, "config.json")
    return _weight_files(folder, "diffusion_pytorch_model", None)


def checker_files(folder: Path) -> list[Path]:
    """The weight files of a safety checker's folder, on the same terms."""
    checker, extractor = checker_folders(folder)
    _require_file(checker, "config.json")
    _require_file(extractor, "preprocessor_config.json")
    return _weight_files(checker, "model", None)


def checker_folders(folder: Path) -> tuple[Path, Path]:
    """Where a safety checker and its feature extractor lie: in folders of their own, or both in this one."""
    if (folder / CHECKER).is_dir():
        return folder / CHECKER, folder / EXTRACTOR
    return folder, folder


def annotator_files(folder: Path, kind: AnnotatorKind) -> list[Path]:
    """The weight files of an annotator's folder, on the same terms."""
    if kind in DETECTOR_FILES:
        return [folder / name for name in DETECTOR_FILES[kind]]
    for needed in ("config.json", "preprocessor_config.json"):
        _require_file(folder, needed)
    return _weight_files(folder, "model", None)


def _require_file(folder: Path, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(f"{folder} has no {' or '.join(names)}")


def component_files(folder: Path, variant: str | None) -> dict[str, list[Path]]:
    """The weight files of each component that has weights, whether they exist or not.

    Raises OSError, ValueError or msgspec.DecodeError where the folder is not in the diffusers layout.
    """
    index = msgspec.json.decode((folder / "model_index.json").read_bytes(), type=dict[str, Any])
    files: dict[str, list[Path]] = {}
    for component, value in index.items():
        match value:
            case [str(library), str()] if component not in UNUSED:
                part = folder / component
            case _:
                continue
        if (part / "config.json").is_file():
            stem = "model" if library == "transformers" else "diffusion_pytorch_model"
            files[component] = _weight_files(part, stem, variant)
        elif not any(part.glob("*.json")):
            # Tokenizers and schedulers are JSON alone; a folder without any has not arrived.
            files[component] = [part / "config.json"]
    if not any(name in files for name in DENOISERS):
        raise ValueError(f"{folder} has no {' or '.join(DENOISERS)}")
    return files


def _snapshot(entry: FolderEntry) -> Path | None:
    """A hub model's folder in the Hugging Face cache, complete or not."""
    # Imported here because it reads once, when imported, whether it may use the network.
    from huggingface_hub import try_to_load_from_cache

    # By one file that every folder has: the hub calls a snapshot incomplete that lacks what was never fetched.
    match entry:
        case PipelineEntry():
            indices: tuple[str, ...] = ("model_index.json",)
        case CheckerEntry():
            indices = ("config.json", f"{CHECKER}/config.json")
        case AnnotatorEntry() if entry.kind in DETECTOR_FILES:
            indices = DETECTOR_FILES[entry.kind][:1]
        case _:
            indices = ("config.json",)
    for index in indices:
        found = try_to_load_from_cache(str(entry.repo), index, revision=entry.revision)
        if isinstance(found, str):
            return Path(found).parents[index.count("/")]
    return None


class _Shards(msgspec.Struct):
    """The index of weights that are split over several files."""

    weight_map: dict[str, str]
    """Tensor to file."""


def _weight_files(part: Path, stem: str, variant: str | None) -> list[Path]:
    # As diffusers does: where a component has no file of the variant, its plain one is meant.
    for suffix in (f".{variant}", "") if variant else ("",):
        whole = part / f"{stem}{suffix}.safetensors"
        if whole.is_file():
            return [whole]
        index = part / f"{stem}.safetensors.index{suffix}.json"
        if index.is_file():
            shards = msgspec.json.decode(index.read_bytes(), type=_Shards).weight_map.values()
            return [part / shard for shard in sorted(set(shards))]
    return [part / f"{stem}.safetensors"]


def parameter_count(files: Iterable[Path], matrices: bool = False) -> int:
    """How many numbers these safetensors files hold, or their matrices alone, read from their headers."""
    count = 0
    for file in files:
        with file.open("rb") as stream:
            (header_bytes,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(header_bytes))
        for name, tensor in header.items():
            if name != "__metadata__" and (len(tensor["shape"]) == 2 or not matrices):
                count += math.prod(tensor["shape"])
    return count


def check_sha256(file: Path, described: FileEntry, name: str) -> None:
    """Raise WeightsError where the file of this entry is another one than models.toml says."""
    if described.sha256 not in (None, sha256(file)):
        raise WeightsError(f"{file} is another file than sha256 in models.toml says: fetch {name} again")


def fingerprint(files: list[Path]) -> str:
    """The first ten digits of the SHA-256 of one component's weights, as Stable Diffusion tools shorten it."""
    if len(files) == 1:
        return sha256(files[0])[:10]
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()[:10]


def sha256(file: Path) -> str:
    """A file's SHA-256, as 64 hex digits."""
    # The hub's cache keeps large files under the name of their SHA-256, so nothing needs to be read again.
    target = file.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", target.name):
        return target.name
    stat = target.stat()
    return _sha256_of(target, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_of(path: Path, _size: int, _modified_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
