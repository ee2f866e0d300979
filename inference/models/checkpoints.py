"""From one file of weights, and from what lies elsewhere, to the components of a pipeline. Which those are, and where,
`catalog.assembly` has found out.

diffusers turns the names of others into its own. It is always told where the configurations lie: without them it would
ask the hub.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from inference.catalog import ggufs, layouts
from inference.catalog.assembly import Assembly
from inference.catalog.telling import Checkpoint
from inference.families.record import Family
from inference.families.releases import CLIP_MERGES, WHOLE
from inference.models import blocks

SCALES = (".scale_weight", ".weight_scale")
"""How names end under which a file keeps what its 8-bit weights are to be multiplied by."""
NOT_READ = (*SCALES, ".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
"""How names end of what is no weight of the model itself."""

BEFORE_ENCODERS = ("text_encoders.t5xxl.transformer.", "text_encoders.clip_l.transformer.", "text_model.text_model.")
"""What may stand before the names of a text encoder's tensors in a file of its own."""


def given(assembly: Assembly, dtype: torch.dtype, quantization: Mapping[str, Any]) -> dict[str, Any]:
    """The components that a pipeline is given where they do not come with its folder or its file, loaded; None for
    those that it does without."""
    components = layouts.components(assembly.config)
    loaded: dict[str, Any] = dict.fromkeys(assembly.lacking)
    for name, path in assembly.elsewhere.items():
        loaded[name] = _elsewhere(path, name, components[name], assembly.config, dtype, quantization.get(name))
    for name in assembly.built_in:
        loaded[name] = clip_tokenizer(assembly.config / name)
    return loaded


def pipeline(assembly: Assembly, kind: Any, family: Family, dtype: torch.dtype, quantization: Mapping[str, Any]) -> Any:
    """A pipeline of this class from one file of weights, and what lies elsewhere.

    Raises whatever the libraries raise; a weight that is in neither has no numbers then (`is_meta`).
    """
    told = assembly.checkpoint
    assert told is not None
    components, component = layouts.components(assembly.config), family.denoiser.component
    loaded = given(assembly, dtype, quantization)
    if component not in loaded:
        with _whole(component):
            loaded[component] = _denoiser(assembly, told, components[component], component, dtype, quantization)
    if assembly.place.suffix == ggufs.GGUF:
        # It holds nothing more.
        return kind.from_pretrained(assembly.config, local_files_only=True, **loaded, **family.settings)
    with _whole("text encoders or of its VAE"):
        return kind.from_single_file(
            str(assembly.place),
            config=str(assembly.config),
            local_files_only=True,
            torch_dtype=dtype,
            **loaded,
            **family.settings,
        )


def _denoiser(
    assembly: Assembly,
    told: Checkpoint,
    kind: tuple[str, str],
    name: str,
    dtype: torch.dtype,
    quantization: Mapping[str, Any],
) -> Any:
    in_blocks = assembly.place.suffix == ggufs.GGUF
    if in_blocks:
        tensors, smaller = blocks.read(assembly.place, told.denoiser), blocks.configuration(dtype)
    else:
        tensors, smaller = read(assembly.place, told.denoiser, dtype), quantization.get(name)
    before = WHOLE if name == "unet" else ""
    # The configuration is that of a model that paints.
    changes = {"in_channels": told.channels} if assembly.edits_only else {}
    network = _class(*kind).from_single_file(
        {f"{before}{own}": tensor for own, tensor in tensors.items()},
        config=str(assembly.config),
        subfolder=name,
        local_files_only=True,
        torch_dtype=dtype,
        quantization_config=smaller,
        **changes,
    )
    if in_blocks:
        blocks.unpack_others(network, dtype)
    return network


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """What diffusers raises where it moves weights that it has not found says which part they are of."""
    try:
        yield
    except NotImplementedError as error:
        raise ValueError(f"weights of its {name} are missing") from error


def read(file: Path, start: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file whose names begin so, by the rest of their names; those in 8 bits that have a
    scale as numbers of this type."""
    with safe_open(file, "pt") as opened:
        names = [name for name in opened.keys() if name.startswith(start)]  # noqa: SIM118
        tensors = {name.removeprefix(start): opened.get_tensor(name) for name in names}
    for name in [name for name in tensors if name.endswith(SCALES)]:
        weight = f"{name.rpartition('.')[0]}.weight"
        if weight in tensors:
            tensors[weight] = (tensors[weight].float() * tensors[name].float()).to(dtype)
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(NOT_READ)}


def clip_tokenizer(settings: Path) -> CLIPTokenizer:
    """CLIP's tokenizer with the settings in this folder, and the vocabulary that comes with Easel."""
    vocabulary, merges = _clip_vocabulary()
    told = json.loads((settings / "tokenizer_config.json").read_text(encoding="utf-8"))
    told.pop("tokenizer_class", None)
    return CLIPTokenizer(vocab=dict(vocabulary), merges=list(merges), **told)


@lru_cache(maxsize=1)
def _clip_vocabulary() -> tuple[Mapping[str, int], list[Any]]:
    """Numbers of all pieces of words, and which two of them become one, the most frequent first."""
    lines = CLIP_MERGES.read_text(encoding="utf-8").splitlines()[1:]
    merges = [(first, second) for first, second in (line.split(" ") for line in lines)]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    return {piece: number for number, piece in enumerate(pieces)}, merges


def _elsewhere(
    path: Path, name: str, kind: tuple[str, str], config: Path, dtype: torch.dtype, quantization: Any | None
) -> Any:
    """A component from a folder or a file of its own."""
    found = _class(*kind)
    if not issubclass(found, torch.nn.Module):
        if not path.is_dir():
            raise ValueError(f"{path} is one file: {name} is a folder")
        return found.from_pretrained(path, local_files_only=True)
    if path.is_dir():
        return found.from_pretrained(
            path, dtype=dtype, use_safetensors=True, local_files_only=True, quantization_config=quantization
        )
    if kind[0] == "diffusers":
        return found.from_single_file(
            read(path, "", dtype),
            config=str(config),
            subfolder=name,
            local_files_only=True,
            torch_dtype=dtype,
            quantization_config=quantization,
        )
    return _encoder(path, found, config / name, dtype)


def _encoder(file: Path, kind: Any, config: Path, dtype: torch.dtype) -> Any:
    """A text encoder from a file with the names of transformers."""
    tensors = read(file, "", dtype)
    for before in BEFORE_ENCODERS:
        tensors = {name.removeprefix(before): tensor for name, tensor in tensors.items()}
    loaded, report = kind.from_pretrained(
        None,
        config=kind.config_class.from_pretrained(config, local_files_only=True),
        state_dict={
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
        },
        dtype=dtype,
        output_loading_info=True,
    )
    if gaps := sorted([*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])]):
        raise ValueError(f"{file} has no fitting {gaps[0]}")
    return loaded


def _class(library: str, name: str) -> Any:
    # `layouts.components` has seen to it that it is one of the two whose classes are loaded.
    return getattr(importlib.import_module(library), name)
