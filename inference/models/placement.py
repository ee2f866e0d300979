"""Puts a pipeline where its policy says, by diffusers' own means: `policy` decides, `loaders` calls this.

What runs a part of a placed pipeline outside the pipeline's own call asks here for the device (`where`), and lets the
parts go home afterwards (`rest`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from inference.catalog.assembly import Assembly
from inference.catalog.entries import ModelEntry
from inference.catalog.fields import DENOISERS, Precision
from inference.device import Device, host_free_bytes, is_out_of_memory
from inference.errors import CatalogError
from inference.families import FAMILIES
from inference.families.record import Denoiser, Family
from inference.models import blocks
from inference.models import policy as policies
from inference.models.policy import Needs, Policy
from inference.silence import silenced

LARGE_NUMBERS = 10**9
"""A text encoder of more parameters is kept in 8 bits too, where the denoiser is."""
COMPILING: dict[str, Any] = {"dynamic": False}
"""Every size is compiled for itself: else the last bits of a picture would depend on the sizes painted before it."""
COMPILED_SIZES = 64
LIBRARIES = {
    **{"xformers": "xformers", "flash": "flash_attn"},
    **{"8bit": "torchao", "fp8": "torchao", "int4": "gguf", "nf4": "bitsandbytes"},
}
"""What must be installed for a word of models.toml."""
EXTRAS = {
    **{"xformers": "easel[xformers]", "flash_attn": "flash-attn --no-build-isolation"},
    **{"torchao": "easel[eightbit]", "gguf": "easel[gguf]", "bitsandbytes": "easel[fourbit]"},
}
_placed: WeakKeyDictionary[Any, torch.device] = WeakKeyDictionary()
NUMBER_BYTES: Mapping[Precision, float] = {"8bit": 1, "fp8": 1, "int4": 0.5 + 4 / 32, "nf4": 0.5 + 4 / 64}
"""What one number of a matrix takes in its smaller form; 32 four-bit integers share four bytes, and 64 of NF4's."""


def require(models: Mapping[str, ModelEntry], device: Device) -> None:
    """Raise CatalogError where one of these models asks for what is not installed. On a CPU none of it is used."""
    if not device.is_cuda:
        return
    for name, entry in models.items():
        for field in ("attention", "weights"):
            wanted = getattr(entry, field)
            library = LIBRARIES.get(wanted)
            if library is not None and find_spec(library) is None:
                raise CatalogError(
                    f"models.{name}: {field}: {wanted!r} needs {library}: pip install {EXTRAS[library]!r}"
                    f" with -c constraints.txt, or leave {field} out"
                )
        if entry.compile and not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
            raise CatalogError(f"models.{name}: compile: needs a C compiler: install gcc, or leave compile out")


def keep_compiled(models: Mapping[str, ModelEntry], folder: Path, device: Device) -> None:
    """Let what is compiled for these models be found again after a restart, in this folder, unless torch was told
    another. Call it before anything is compiled.
    """
    if device.is_cuda and any(entry.compile for entry in models.values()):
        # The caches of Triton and of graphs lie below it.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder.resolve()))


def dtype(entry: ModelEntry, device: Device) -> torch.dtype:
    """What the model computes in here."""
    if device.is_cuda and entry.weights != "full" and entry.dtype == "auto":
        return torch.bfloat16  # all that diffusers vouches for with smaller weights
    return device.dtype(entry.dtype, FAMILIES[entry.family].dtype)


def measure(assembly: Assembly, entry: ModelEntry, device: Device) -> Needs:
    """What a model needs, from the headers of its weights."""
    number_bytes = vae_number_bytes = dtype(entry, device).itemsize
    parts = {name: part.held_bytes(number_bytes) for name, part in assembly.parts.items()}
    if device.is_cuda and entry.weights != "full":
        for part in _quantized(assembly):
            # Linear layers become smaller; what is no matrix stays.
            saved = number_bytes - NUMBER_BYTES[entry.weights]
            parts[part] -= int(assembly.parts[part].parameters(matrices=True) * saved)
    if FAMILIES[entry.family].latents.upcast and number_bytes == 2:
        vae = assembly.elsewhere.get("vae", assembly.config / "vae")
        config = json.loads(((vae if vae.is_dir() else assembly.config / "vae") / "config.json").read_text())
        vae_number_bytes = 4 if config.get("force_upcast", True) else 2
    return policies.needs(entry, parts, number_bytes, vae_number_bytes)


def choose(assembly: Assembly, entry: ModelEntry, device: Device, budget_bytes: int) -> Policy:
    """The policy to begin with: on a CPU the plain one, for there nothing can be moved out of its memory."""
    if not device.is_cuda:
        return Policy(speed=entry.speed)
    return policies.choose(entry, measure(assembly, entry, device), budget_bytes, device.memory_bytes)


def quantization(policy: Policy, assembly: Assembly, dtype: torch.dtype) -> dict[str, Any]:
    """What the loading of each component is told of that is not kept as it is; `dtype` is what they compute in.

    Four-bit integers are made of what was loaded (`pack`), for diffusers makes none itself without a card.
    """
    if policy.weights in ("full", "int4"):
        return {}
    import diffusers
    import transformers

    kinds = {part: diffusers if part in DENOISERS else transformers for part in _quantized(assembly)}
    return {part: _smaller(policy.weights, kind, dtype) for part, kind in kinds.items()}


def pack(networks: Mapping[str, torch.nn.Module], policy: Policy, assembly: Assembly, dtype: torch.dtype) -> None:
    """Make smaller what is made smaller when it is loaded; does nothing to other weights than `int4`."""
    if policy.weights == "int4":
        for name in _quantized(assembly):
            blocks.pack(networks[name], dtype)


def _smaller(weights: Precision, library: Any, dtype: torch.dtype) -> Any:
    """How this library, diffusers or transformers, is told to make weights smaller."""
    if weights == "nf4":
        return library.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    # Imported here: an optional library.
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

    return library.TorchAoConfig(Int8WeightOnlyConfig() if weights == "8bit" else Float8WeightOnlyConfig())


def _quantized(assembly: Assembly) -> Iterable[str]:
    return [
        name
        for name, part in assembly.parts.items()
        # Of the text encoders those that lie in folders: out of one file they come as they are.
        if name in DENOISERS
        or (not part.start and name.startswith("text_encoder") and part.parameters() > LARGE_NUMBERS)
    ]


def place(pipeline: Any, family: Family, policy: Policy, device: Device) -> None:
    """Put a pipeline that was just loaded where its policy says, ready to paint.

    Once: another policy but for tiles needs another pipeline. Raises CatalogError where this device cannot follow it.
    """
    denoiser = getattr(pipeline, family.denoiser.component)
    tile(pipeline, family, policy)
    with silenced("diffusers"):
        try:
            _attend(pipeline, family.denoiser, policy)
        except (ImportError, RuntimeError, ValueError, NotImplementedError) as error:
            if is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:300]
            raise CatalogError(f"models.toml: attention = {policy.attention!r} does not work here: {reason}") from error
        if policy.channels_last:
            denoiser.to(memory_format=torch.channels_last)
            pipeline.vae.to(memory_format=torch.channels_last)
        if policy.compile:
            torch._dynamo.config.recompile_limit = COMPILED_SIZES
            # As peft leaves it behind that reads a LoRA: code is compiled for either.
            denoiser.requires_grad_(False)
            denoiser.compile_repeated_blocks(**COMPILING)
        if policy.offload == "none":
            pipeline.to(device.where)
        elif policy.offload == "model":
            pipeline.enable_model_cpu_offload(device=device.where)
        else:
            _offload_layers(pipeline, device)
    _placed[pipeline] = device.where


def tile(pipeline: Any, family: Family, policy: Policy) -> None:
    """Have the VAE work in tiles, or whole."""
    if policy.vae_tiling:
        family.latents.tile(pipeline.vae, policies.TILE, pipeline.vae_scale_factor)
    else:
        pipeline.vae.disable_tiling()


def where(pipeline: Any) -> torch.device:
    """Where the parts of a pipeline work, wherever they are now. diffusers itself looks through all layers for it."""
    placed = _placed.get(pipeline)
    found: torch.device = pipeline._execution_device if placed is None else placed
    return found


def rest(pipeline: Any) -> None:
    """Let every part go home that is on the device for its work alone. Does nothing where all stay there."""
    pipeline.maybe_free_model_hooks()


def _attend(pipeline: Any, known: Denoiser, policy: Policy) -> None:
    denoiser = getattr(pipeline, known.component)
    if known.attention_backends:
        # Always by name: what one model is given becomes diffusers' default for all that have none of their own.
        denoiser.set_attention_backend("native" if policy.attention == "sdpa" else policy.attention)
    elif policy.attention == "sliced":
        pipeline.enable_attention_slicing("max")
    elif policy.attention == "xformers":
        denoiser.enable_xformers_memory_efficient_attention()


def _offload_layers(pipeline: Any, device: Device) -> None:
    on_gpu = device.where.type == "cuda"
    size = sum(tensor.nbytes for part in pipeline.components.values() for tensor in _parameters(part))
    pipeline.enable_group_offload(
        onload_device=device.where,
        # Layer by layer: blocks of a UNet, and the whole of a text encoder, would be too large for small cards.
        offload_type="leaf_level",
        use_stream=on_gpu,
        # Memory that is pinned beforehand is faster, but torch rounds each piece of it up to a power of two.
        low_cpu_mem_usage=on_gpu and host_free_bytes() < 2 * size,
        # Small, and decoded in another precision than it is kept in, which offloaded layers cannot change.
        exclude_modules=["vae"],
    )


def _parameters(part: Any) -> Iterable[torch.Tensor]:
    return part.parameters() if isinstance(part, torch.nn.Module) else ()
