"""Weights in ggml's blocks, which become numbers when a layer works: those of a GGUF file stay as small as they lie
there, those of other models are made as small.

diffusers computes with them (`GGUFLinear`); what a file holds is found by `catalog.ggufs`. The library `gguf`, which
makes blocks and which diffusers asks for its tables, is imported with the first such model.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch

from inference.catalog import ggufs

FOUR_BIT = ggufs.PACKED["Q4_1"]
PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def configuration(dtype: torch.dtype) -> Any:
    """What diffusers is told of weights in blocks; `dtype` is what they compute in."""
    kind: Any = diffusers.GGUFQuantizationConfig
    return kind(compute_dtype=dtype)


def read(file: Path, start: str) -> dict[str, torch.Tensor]:
    """The tensors of a GGUF file whose names begin so, by the rest of their names; those in blocks as diffusers' own
    parameters, rows of bytes."""
    from gguf import GGMLQuantizationType

    packed = _library().GGUFParameter
    content, found = np.memmap(file, mode="r"), {}
    for name, told in ggufs.tensors(file).items():
        if not name.startswith(start):
            continue
        held = torch.from_numpy(content[told.start : told.start + told.size].copy())
        kind = told.kind
        if kind.name in PLAIN:
            tensor = held.view(PLAIN[kind.name]).reshape(told.shape)
        else:
            rows = held.reshape(*told.shape[:-1], told.shape[-1] // kind.numbers * kind.size)
            tensor = packed(rows, quant_type=GGMLQuantizationType[kind.name])
        found[name.removeprefix(start)] = tensor
    return found


def pack(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Keep the matrices of a network's linear layers, in place, as four-bit integers (ggml's Q4_1).

    Of those 32 share a scale and a least number; `dtype` is what they compute in. Rows without whole blocks stay as
    they are, and so do layers that their authors keep in float32.
    """
    whole = {*(getattr(network, "_keep_in_fp32_modules", None) or ())}
    for name, layer in [*network.named_modules()]:
        if (
            type(layer) is torch.nn.Linear
            and layer.in_features % FOUR_BIT.numbers == 0
            and whole.isdisjoint(name.split("."))
        ):
            network.set_submodule(name, _packed(layer, dtype))


def _packed(layer: torch.nn.Linear, dtype: torch.dtype) -> torch.nn.Linear:
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType[FOUR_BIT.name]
    rows = torch.from_numpy(quants.quantize(layer.weight.detach().float().numpy(), kind))
    with torch.device("meta"):
        packed: torch.nn.Linear = _library().GGUFLinear(
            layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=dtype
        )
    packed.weight = _library().GGUFParameter(rows, quant_type=kind)
    packed.bias = layer.bias
    return packed


def numbers(weight: torch.Tensor) -> torch.Tensor:
    """What a layer's weights stand for; those that are in no blocks as they are."""
    if not hasattr(weight, "quant_shape"):
        return weight
    unpacked: torch.Tensor = _library().dequantize_gguf_tensor(weight)
    return unpacked


def unpack_others(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Make numbers of what is kept in blocks outside of linear layers, where diffusers computes with bytes."""
    library = _library()
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            computed = isinstance(module, library.GGUFLinear) and name == "weight"
            if isinstance(parameter, library.GGUFParameter) and not computed:
                setattr(module, name, torch.nn.Parameter(numbers(parameter).to(dtype), requires_grad=False))


def _library() -> Any:
    """Where diffusers has it, which imports `gguf`."""
    return importlib.import_module("diffusers.quantizers.gguf.utils")
