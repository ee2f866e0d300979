"""What a file of weights is that says nothing of itself: an upscaler or a restorer of faces, known by its tensors.

spandrel knows the architectures. The catalogue asks here what a file can do before anything is offered, `networks` gets
its networks from here. Nothing that is pickled is run, and nothing is built that is larger than its file. torch and
spandrel are imported in functions alone: a catalogue without such files is read without them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from inference.catalog import headers
from inference.catalog.entries import UpscalerEntry
from inference.errors import CatalogError, WeightsError
from inference.silence import silenced

Use = Literal["upscaler", "restorer"]

MAX_SCALE = 8
SUFFIXES = (*headers.PICKLES, headers.SAFETENSORS)

_SWOLLEN = 2
"""Times its file's size: tensors that share their numbers can seem to hold more, a few bytes seem to hold terabytes."""


@dataclass(frozen=True)
class Nature:
    """What a network is."""

    architecture: str
    """As spandrel calls it."""
    scale: int
    """How many times as wide and high it makes a picture."""


def nature(file: Path, use: Use) -> Nature:
    """What the network in this file is. It is built once for each file and used by nobody.

    Raises WeightsError, in one line, where it is no network for this use.
    """
    stat = file.stat()
    return _nature(file, use, stat.st_size, stat.st_mtime_ns, stat.st_ino)


def check(where: str, entry: UpscalerEntry, written: Mapping[str, Any]) -> None:
    """Raise CatalogError where a table, as it is written, says too little of its network, or more than is asked."""
    if entry.arch is not None and entry.scale is None:
        raise CatalogError(f"{where}: scale: an entry that names an arch says how many times that enlarges")
    if entry.half is not None and entry.scale is None:
        raise CatalogError(f"{where}: scale: an entry that names a half says how many times it enlarges")
    if entry.half is not None and entry.half.url is not None:
        raise CatalogError(f"{where}: half: url: only the whole is fetched from somewhere")
    sizes = sorted(field for field in written if field.startswith("num_"))
    if entry.arch is None and sizes:
        raise CatalogError(f"{where}: {sizes[0]}: goes with arch alone: without both, the file says what it is")


def state(file: Path) -> dict[str, Any]:
    """The tensors of this file by their names, on the CPU, taken out of what training scripts wrap them in.

    Raises WeightsError where it holds anything else.
    """
    import safetensors.torch
    import torch
    from spandrel import canonicalize_state_dict

    if file.suffix not in SUFFIXES:
        raise WeightsError(f"{file} is none of {', '.join(SUFFIXES)}: other files are not read")
    try:
        if file.suffix == headers.SAFETENSORS:
            held: Any = safetensors.torch.load_file(file)
        else:
            held = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
        # Beside them some scripts keep how far the training had come.
        tensors = {
            name: tensor for name, tensor in canonicalize_state_dict(held).items() if isinstance(tensor, torch.Tensor)
        }
    except Exception as error:  # torch and the pickle machine raise half a dozen kinds for a wrong file
        raise WeightsError(f"{file} is not loaded: it holds more than tensors, or is broken") from error
    if sum(tensor.nbytes for tensor in tensors.values()) > _SWOLLEN * file.stat().st_size:
        raise WeightsError(f"{file} is not loaded: its tensors would be far larger than the file")
    return tensors


def build(file: Path, tensors: Mapping[str, Any], use: Use) -> Any:
    """spandrel's descriptor of the network with these tensors of the file, in float32 on the CPU.

    Raises WeightsError, in one line, where it is no network for this use.
    """
    from spandrel import MAIN_REGISTRY, UnsupportedModelError

    try:
        # torch warns of how some were written, and of weights that are not wanted.
        with silenced():
            descriptor = MAIN_REGISTRY.load(dict(tensors))
    except UnsupportedModelError as error:
        raise WeightsError(f"{file} is no network that enlarges or restores pictures, or none that is known") from error
    except Exception as error:  # of forty architectures, each with its own way to fail at a wrong file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"{file} does not load as a network: {reason}") from error
    if (wrong := _wrong(descriptor, use)) is not None:
        raise WeightsError(f"{file} {wrong}")
    descriptor.model.eval().requires_grad_(False)
    return descriptor


@lru_cache(maxsize=256)
def _nature(file: Path, use: Use, _size: int, _modified_ns: int, _inode: int) -> Nature:
    from accelerate import init_empty_weights

    tensors = state(file)
    # What it is shows in the names and shapes; numbers would take the time that a real start takes.
    with init_empty_weights():
        descriptor = build(file, tensors, use)
    return Nature(descriptor.architecture.name, descriptor.scale)


def _wrong(descriptor: Any, use: Use) -> str | None:
    """Why this network cannot be used so; None where it can."""
    name, purpose = descriptor.architecture.name, descriptor.purpose
    if purpose == "Inpainting":
        return f"fills holes in pictures ({name}) and enlarges none"
    if use == "upscaler" and purpose == "FaceSR":
        return f"restores faces ({name}) and enlarges none: give it a [restorers.NAME] table"
    if use == "restorer" and purpose != "FaceSR":
        return f"restores no faces ({name}): give it an [upscalers.NAME] table"
    channels = descriptor.input_channels, descriptor.output_channels
    if channels not in ((1, 1), (3, 3), (4, 4), (4, 3)):
        return f"takes {channels[0]} channels and makes {channels[1]} ({name}): a picture has 1, 3 or 4"
    if not 1 <= descriptor.scale <= MAX_SCALE:
        return f"enlarges {descriptor.scale} times ({name}): {MAX_SCALE} is the most"
    return None
