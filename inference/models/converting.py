"""Pickled weights made into safetensors beside them, as far as they are tensors and nothing else: the only place that
opens a pickle of a picture model, and never as code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from inference.catalog import headers
from inference.errors import WeightsError

NAMES = {"pytorch_model": "model"}
"""How safetensors are called where a pickle of another name held the same."""


def convert(place: Path) -> Iterator[Path]:
    """Write safetensors beside this pickle, or beside every .bin of this folder that has none yet; say where each lies.

    Raises WeightsError, in one line, where a file holds more than tensors, or the disk takes no more.
    """
    files = sorted(place.rglob("*.bin")) if place.is_dir() else [place]
    if not files or not place.exists():
        raise WeightsError(f"{place} has no pickled weights: there is nothing to convert")
    for file in files:
        stem, dot, rest = file.stem.partition(".")
        made = file.with_name(f"{NAMES.get(stem, stem)}{dot}{rest}{headers.SAFETENSORS}")
        if made.exists():
            if len(files) == 1:
                raise WeightsError(f"{made} is there already: use that, or take it away first")
            continue
        _write(_tensors(file), made)
        yield made


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The tensors in the pickle of an upscaler or an embedding, by their names.

    Raises WeightsError where it holds more than tensors, or those of a picture model, which are not loaded as pickles.
    """
    tensors = _tensors(file, on="meta")
    if file.suffix in (".ckpt", ".bin") or any(
        name.startswith(("model.diffusion_model.", "first_stage_model.")) for name in tensors
    ):
        raise WeightsError(
            f"{file} is a pickle: python -m inference models convert {file} makes safetensors of it: add that"
        )
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _tensors(file: Path, on: str = "cpu") -> dict[str, torch.Tensor]:
    if file.suffix == headers.SAFETENSORS:
        raise WeightsError(f"{file} is called a safetensors file already")
    try:
        held: Any = torch.load(file, map_location=on, weights_only=True)
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # torch and the pickle machine raise half a dozen kinds for a wrong file
        raise WeightsError(
            f"{file} is not converted: it is broken, or holds more than tensors, which could run code: look for the"
            " same weights as safetensors"
        ) from error
    for wrapping in ("state_dict", "params_ema", "params", "string_to_param"):
        if isinstance(held, Mapping) and isinstance(inner := held.get(wrapping), Mapping):
            held = inner
    if not isinstance(held, Mapping):
        raise WeightsError(f"{file} holds no weights by names")
    tensors = {str(name): tensor for name, tensor in held.items() if isinstance(tensor, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{file} holds no weights by names")
    return tensors


def _write(tensors: dict[str, torch.Tensor], place: Path) -> None:
    part = place.with_name(f"{place.name}.part")
    try:
        # Those that share their memory, or lie in it with gaps, cannot be written as they are.
        whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        save_file(whole, part, metadata={"format": "pt"})
        part.replace(place)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{place} cannot be written: {' '.join(str(error).split())}") from error
    finally:
        part.unlink(missing_ok=True)
