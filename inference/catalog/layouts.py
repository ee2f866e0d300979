"""The files that each kind of folder consists of, and whether they are sound: a folder is not loaded before that.

What is sound has every file that its layout promises, JSON that is JSON, an index that names files beside itself, and
weights whose headers fit their lengths. Nothing here loads a model, uses the network or knows the catalogue.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from inference.catalog import headers, hints
from inference.catalog.entries import (
    AnnotatorEntry,
    CheckerEntry,
    ControlEntry,
    DecoderEntry,
    FolderEntry,
    PipelineEntry,
)
from inference.catalog.fields import DENOISERS, DETECTOR_FILES, INDEX, AnnotatorKind
from inference.errors import WeightsError

UNUSED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Components of published pipelines that painting does not use; they are neither fetched nor loaded with it."""

LIBRARIES = ("diffusers", "transformers")
"""Whose components are loaded: of any other a name would be imported."""
TOKENIZERS = ("tokenizer.json", "vocab.json")
"""A tokenizer as transformers writes it today, or as it was written before."""
READ = ("config.json", INDEX, "added_tokens.json", "special_tokens_map.json", *TOKENIZERS)
"""How the names of JSON files end that diffusers and transformers read, each of which holds an object."""
CHECKER, EXTRACTOR = "safety_checker", "feature_extractor"
"""The folders of a checker, where it has two: as in a pipeline's own folder."""


class Incomplete(WeightsError):
    """A folder lacks a file that its layout promises."""

    def __init__(self, folder: Path, *lacking: str, hint: str = "") -> None:
        super().__init__(f"{folder} is not whole: it has no {' or '.join(lacking)}{hint}")


def check(folder: Path, entry: FolderEntry) -> None:
    """Raise Incomplete where a folder lacks a file, and WeightsError where one is not what it should be."""
    match entry:
        case PipelineEntry():
            check_pipeline(folder, variant_of(folder, entry.variant))
            return
        case DecoderEntry() | ControlEntry():
            files, parts = diffusers_files(folder), [folder]
        case CheckerEntry(kind="nsfwjs"):
            files, parts = [nsfwjs_file(folder)], []
        case CheckerEntry():
            files, parts = checker_files(folder), [*checker_folders(folder)]
        case AnnotatorEntry():
            files, parts = annotator_files(folder, entry.kind), [folder]
        case _:
            files, parts = transformer_files(folder), [folder]
    _check_files(folder, files, parts)


def check_pipeline(folder: Path, variant: str | None, elsewhere: Collection[str] = ()) -> None:
    """The same of a whole pipeline's folder, of which some components lie elsewhere."""
    files = [file for part in component_files(folder, variant, elsewhere).values() for file in part]
    own = [component for component in components(folder) if component not in elsewhere]
    _check_files(folder, files, [folder, *(folder / component for component in own)])


def _check_files(folder: Path, files: Iterable[Path], parts: Iterable[Path]) -> None:
    for file in files:
        if not file.is_file():
            raise Incomplete(folder, str(file.relative_to(folder)), hint=hints.of_file(folder, file))
    for part in parts:
        for json_file in sorted(part.glob("*.json")):
            if ".index." in json_file.name:
                _index(json_file)
            elif json_file.name.endswith(READ):
                json_object(json_file)
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


def nsfwjs_file(folder: Path) -> Path:
    """The file of nsfwjs' classifier, which is all there is to it."""
    return folder / f"model{headers.SAFETENSORS}"


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


def pipeline_folder(folder: Path) -> Path:
    """The folder of a pipeline in which its list of components lies: this one, or the only such one in it."""
    inner = [] if (folder / INDEX).is_file() else sorted(folder.glob(f"*/{INDEX}"))
    return inner[0].parent if len(inner) == 1 else folder


def only_file(folder: Path) -> Path | None:
    """The one file of weights in a folder that holds nothing else of a model; None where it is no such folder."""
    files = sorted(folder.glob(f"*{headers.SAFETENSORS}"))
    alone = len(files) == 1 and not (folder / "config.json").exists() and not any(folder.glob(f"**/{INDEX}"))
    return files[0] if alone else None


def components(folder: Path) -> dict[str, tuple[str, str]]:
    """Library and class of each component that painting uses, by what model_index.json calls it."""
    index = folder / INDEX
    if not index.is_file():
        raise Incomplete(folder, INDEX, hint=hints.instead_of_index(folder))
    named = {
        _beside(index, component): (value[0], value[1])
        for component, value in json_object(index).items()
        if component not in UNUSED and isinstance(value, list) and [type(each) for each in value] == [str, str]
    }
    for component, (library, _) in named.items():
        if library not in LIBRARIES:
            only = " and ".join(LIBRARIES)
            raise WeightsError(f"{index} names a {component} of {library[:100]!r}: only those of {only} are loaded")
    return named


def absent_components(folder: Path) -> frozenset[str]:
    """Those that have no folder."""
    return frozenset(component for component in components(folder) if not (folder / component).is_dir())


def component_files(
    folder: Path,
    variant: str | None,
    elsewhere: Collection[str] = (),
    there: Callable[[Path], bool] = Path.is_file,
) -> dict[str, list[Path]]:
    """The weight files of each component of a pipeline that has weights, on the same terms; none of those elsewhere.

    `there` says which weights there are, where they are still to be fetched.
    """
    files: dict[str, list[Path]] = {}
    known = components(folder)
    for component, (library, kind) in known.items():
        part = folder / component
        if component in elsewhere:
            continue
        if (part / "config.json").is_file():
            files[component] = _weight_files(part, _stem(library), variant, there)
        elif component.startswith("tokenizer"):
            _require_file(part, *TOKENIZERS, "spiece.model")
        elif "Process" in kind:
            _require_file(part, "preprocessor_config.json", "processor_config.json")
        elif "Schedul" in kind:
            _require_file(part, "scheduler_config.json")
        else:
            raise Incomplete(folder, f"{component}/config.json")
    if not any(name in known for name in DENOISERS):
        raise Incomplete(folder, *DENOISERS, hint=f" in its {INDEX}")
    return files


def network_files(folder: Path, library: str) -> list[Path]:
    """The weight files of one component in a folder of its own, on the same terms."""
    _require_file(folder, "config.json")
    return _weight_files(folder, _stem(library), None)


def _stem(library: str) -> str:
    return "model" if library == "transformers" else "diffusion_pytorch_model"


def has_tokenizer(folder: Path) -> bool:
    """Whether everything is there of which a tokenizer is made."""
    return any((folder / name).is_file() for name in (*TOKENIZERS, "spiece.model"))


def variant_of(folder: Path, asked: str | None, elsewhere: Collection[str] = ()) -> str | None:
    """Which of the files that lie side by side in a pipeline's folder are meant: as asked for, or, where some
    components have no plain ones, the only others that there are."""
    found: set[str] = set()
    for component, (library, _) in components(folder).items():
        part, stem = folder / component, _stem(library)
        if (
            asked is not None
            or component in elsewhere
            or any(file.is_file() for file in _weight_files(part, stem, None))
        ):
            continue
        found.update(hints.variants(part, stem))
    return found.pop() if len(found) == 1 else asked


class _Shards(msgspec.Struct):
    """The index of weights that are split over several files."""

    weight_map: dict[str, str]
    """Tensor to file."""


def _weight_files(
    part: Path, stem: str, variant: str | None, there: Callable[[Path], bool] = Path.is_file
) -> list[Path]:
    # As diffusers does: where a component has no file of the variant, its plain one is meant.
    for suffix in (f".{variant}", "") if variant else ("",):
        whole = part / f"{stem}{suffix}.safetensors"
        if there(whole):
            return [whole]
        index = part / f"{stem}.safetensors.index{suffix}.json"
        if there(index):
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


def json_object(file: Path) -> dict[str, Any]:
    """What a file of JSON holds. Raises WeightsError where that is no object."""
    found: dict[str, Any] = _decode(file, dict[str, Any])
    return found


def _require_file(folder: Path, *names: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise Incomplete(folder, *names)


def parameter_count(files: Iterable[Path], matrices: bool = False) -> int:
    """How many numbers these safetensors files hold, or their matrices alone, read from their headers."""
    shapes = [shape for file in files for shape in headers.tensors(file).values()]
    return sum(math.prod(shape) for shape in shapes if len(shape) == 2 or not matrices)
