"""Weights on this machine's disk: where a catalogue entry's lie, whether they are complete, how large, which.

Nothing here loads a model, and only `fetch` uses the network.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from inference.catalog import Catalog, ModelEntry
from inference.errors import WeightsError

UNUSED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Components of published pipelines that painting does not use; they are neither fetched nor loaded."""

DENOISERS = ("unet", "transformer")


def locate(catalog: Catalog, name: str) -> Path | None:
    """The complete diffusers folder of a model on this machine, or None. Never uses the network."""
    entry = catalog.models[name]
    folder = _snapshot(str(entry.repo), entry.revision) if entry.path is None else catalog.folder / entry.path
    return folder if folder is not None and is_complete(folder, entry.variant) else None


def locate_upscaler(catalog: Catalog, name: str) -> Path | None:
    """The weights file of an upscaler on this machine, or None."""
    path = catalog.folder / catalog.upscalers[name].path
    return path if path.is_file() else None


def available(catalog: Catalog) -> tuple[str, ...]:
    """The models that can paint on this machine: their own weights and their upscaler's are here."""
    return tuple(
        name
        for name, entry in catalog.models.items()
        if locate(catalog, name) and (entry.upscaler is None or locate_upscaler(catalog, entry.upscaler))
    )


def require(catalog: Catalog) -> tuple[str, ...]:
    """The models that can paint on this machine, the default one among them.

    Raises WeightsError, with what to do, where the default one could not.
    """
    here = available(catalog)
    if not here:
        raise WeightsError(
            "no model of the catalogue has its weights on this machine:"
            f" run python -m inference --fetch {catalog.default}, or see python -m inference --list"
        )
    if catalog.default not in here:
        raise WeightsError(
            f"the default model {catalog.default} has no weights on this machine: run python -m inference"
            f" --fetch {catalog.default}, or set default in models.toml to one of {', '.join(here)}"
        )
    return here


def is_complete(folder: Path, variant: str | None) -> bool:
    """Whether a diffusers folder holds every file that its model_index.json promises (a fetch may have been cut)."""
    try:
        files = component_files(folder, variant)
    except (OSError, ValueError, msgspec.DecodeError):
        return False
    return all(file.is_file() for of_component in files.values() for file in of_component)


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


def _snapshot(repo: str, revision: str | None) -> Path | None:
    """A hub model's folder in the Hugging Face cache, complete or not."""
    # Imported here because it reads once, when imported, whether it may use the network.
    from huggingface_hub import try_to_load_from_cache

    # By one file that every pipeline has: the hub calls a snapshot incomplete that lacks what `fetch` leaves out.
    index = try_to_load_from_cache(repo, "model_index.json", revision=revision)
    return Path(index).parent if isinstance(index, str) else None


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


def parameter_count(files: dict[str, list[Path]]) -> int:
    """How many numbers these safetensors files hold, read from their headers alone."""
    count = 0
    for file in (file for of_component in files.values() for file in of_component):
        with file.open("rb") as stream:
            (header_bytes,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(header_bytes))
        for name, tensor in header.items():
            if name != "__metadata__":
                numbers = 1
                for size in tensor["shape"]:
                    numbers *= size
                count += numbers
    return count


def fingerprint(files: list[Path]) -> str:
    """The first ten digits of the SHA-256 of one component's weights, as Stable Diffusion tools shorten it."""
    if len(files) == 1:
        return _sha256(files[0])[:10]
    return hashlib.sha256("".join(_sha256(file) for file in files).encode()).hexdigest()[:10]


def _sha256(file: Path) -> str:
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


def fetch(entry: ModelEntry) -> Path:
    """Download what a hub model's pipeline needs, and no more, into the ordinary Hugging Face cache.

    Raises WeightsError in one line where the hub refuses or cannot be reached.
    """
    if entry.repo is None:
        raise WeightsError(f"{entry.title} comes with its folder {entry.path} and cannot be fetched")
    # Imported here because it takes seconds and nothing else in this module needs it.
    from diffusers import DiffusionPipeline

    try:
        folder = DiffusionPipeline.download(
            entry.repo,
            revision=entry.revision,
            variant=entry.variant,
            use_safetensors=True,
            **dict.fromkeys(UNUSED),
        )
    except (OSError, ValueError) as error:
        # Where the hub does not answer, diffusers looks into the cache instead and raises what it found out last.
        cause = error.__cause__ or error
        raise WeightsError(f"{entry.repo} cannot be fetched: {' '.join(str(cause).split())}") from error
    if not is_complete(Path(folder), entry.variant):
        raise WeightsError(f"{entry.repo} came incomplete into {folder}: run the same command again")
    return Path(folder)
