"""The files that each kind of folder consists of, and whether they are sound: a folder is not loaded before that.

What is sound has every file that its layout promises, JSON that is JSON, an index that names files beside itself, and
weights whose headers fit their lengths. Nothing here loads a model, uses the network or knows the catalogue.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from inference.catalog import headers
from inference.catalog.entries import (
    DETECTOR_FILES,
    AnnotatorEntry,
    AnnotatorKind,
    CheckerEntry,
    ControlEntry,
    DecoderEntry,
    FolderEntry,
    PipelineEntry,
)
from inference.errors import WeightsError

UNUSED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Components of published pipelines that painting does not use; they are neither fetched nor loaded with it."""

DENOISERS = ("unet", "transformer")
TOKENIZERS = ("tokenizer.json", "vocab.json")
"""A tokenizer as transformers writes it today, or as it was written before."""
READ = ("config.json", "model_index.json", "added_tokens.json", "special_tokens_map.json", *TOKENIZERS)
"""How the names of JSON files end that diffusers and transformers read, each of which holds an object."""
CHECKER, EXTRACTOR = "safety_checker", "feature_extractor"
"""The folders of a checker, where it has two: as in a pipeline's own folder."""


class Incomplete(WeightsError):
    """A folder lacks a file that its layout promises."""

    def __init__(self, folder: Path, *lacking: str) -> None:
        super().__init__(f"{folder} is not whole: it has no {' or '.join(lacking)}")


def check(folder: Path, entry: FolderEntry) -> None:
    """Raise Incomplete where a folder lacks a file, and WeightsError where one is not what it should be."""
    match entry:
        case PipelineEntry():
            files = [file for part in component_files(folder, entry.variant).values() for file in part]
            parts = [folder, *(folder / component for component in _components(folder))]
        case DecoderEntry() | ControlEntry():
            files, parts = diffusers_files(folder), [folder]
        case CheckerEntry():
            files, parts = checker_files(folder), [*checker_folders(folder)]
        case AnnotatorEntry():
            files, parts = annotator_files(folder, entry.kind), [folder]
        case _:
            files, parts = transformer_files(folder), [folder]
    for file in files:
        if not file.is_file():
            raise Incomplete(folder, str(file.relative_to(folder)))
    for part in parts:
        for file in sorted(part.glob("*.json")):
            if ".index." in file.name:
                _index(file)
            elif file.name.endswith(READ):
                _decode(file, dict[str, Any])
    for file in files:
        headers.check(file)


def transformer_files(folder: Path) -> list[Path]:
    """The weight files of a transformers folder, whether they exist or not.

    Raises Incomplete where its configuration or the files of its processor are missing, and WeightsError where the
    list of its shards is broken.
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


def component_files(folder: Path, variant: str | None) -> dict[str, list[Path]]:
    """The weight files of each component of a pipeline that has weights, on the same terms."""
    files: dict[str, list[Path]] = {}
    for component, library in _components(folder).items():
        part = folder / component
        if (part / "config.json").is_file():
            stem = "model" if library == "transformers" else "diffusion_pytorch_model"
            files[component] = _weight_files(part, stem, variant)
        elif component.startswith("tokenizer"):
            _require_file(part, *TOKENIZERS, "spiece.model")
        elif component == "processor":
            _require_file(part, "preprocessor_config.json", "processor_config.json")
        else:
            _require_file(part, "scheduler_config.json")
    if not any(name in files for name in DENOISERS):
        raise Incomplete(folder, *DENOISERS)
    return files


def _components(folder: Path) -> dict[str, str]:
    """The library of each component that painting uses, by what model_index.json calls it."""
    _require_file(folder, "model_index.json")
    index = folder / "model_index.json"
    libraries: dict[str, str] = {}
    for component, value in _decode(index, dict[str, Any]).items():
        match value:
            case [str(library), str()] if component not in UNUSED:
                libraries[_beside(index, component)] = library
    return libraries


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
            return [part / shard for shard in sorted(_index(index))]
    return [part / f"{stem}.safetensors"]


def _index(file: Path) -> set[str]:
    """The files that an index names, all of which lie beside it and are what it is called."""
    shards = {_beside(file, shard) for shard in _decode(file, _Shards).weight_map.values()}
    if headers.SAFETENSORS in file.suffixes and (others := [s for s in shards if not s.endswith(headers.SAFETENSORS)]):
        raise WeightsError(f"{file} names {others[0][:100]!r}, which is no safetensors file")
    return shards


def _beside(file: Path, name: str) -> str:
    if name in ("", ".", "..") or any(sign in name for sign in "/\\\0"):
        raise WeightsError(f"{file} names {name[:100]!r}, which does not lie beside it")
    return name


def _decode(file: Path, kind: Any) -> Any:
    try:
        # As the libraries read it, which take NaN and Infinity for numbers.
        return msgspec.convert(json.loads(file.read_bytes()), kind)
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file} is not the JSON that it should be: {' '.join(str(error).split())[:200]}") from error


def _require_file(folder: Path, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise Incomplete(folder, *names)


def parameter_count(files: Iterable[Path], matrices: bool = False) -> int:
    """How many numbers these safetensors files hold, or their matrices alone, read from their headers."""
    shapes = [shape for file in files for shape in headers.tensors(file).values()]
    return sum(math.prod(shape) for shape in shapes if len(shape) == 2 or not matrices)
