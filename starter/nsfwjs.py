"""`python -m starter.nsfwjs PACKAGE.tgz`: make the checker's weights of the npm package (`npm pack nsfwjs@4.4.0`).

Number for number: they are 8-bit numbers there and here, under the names that torch's network gives them. This is run
once, and what it wrote is compared with nsfwjs' own answers by a test.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from inference.networks import nsfw
from starter.judge import MODELS

FOLDER = MODELS / "nsfw"

_INSIDE = "package/dist/models/mobilenet_v2/{}.min.js"
_TENSOR = re.compile(
    r'name:"(?P<name>[^"]+)",shape:\[(?P<shape>[\d,]+)\],dtype:"float32",'
    r'quantization:\{min:(?P<least>[-.\de]+),scale:(?P<scale>[-.\de]+),dtype:"uint8"\}'
)
_NORMS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_PARTS = {"expand": "expand_1x1", "depthwise": "conv_3x3", "project": "reduce_1x1"}


def convert(package: Path, folder: Path = FOLDER) -> None:
    """Write the package's MobileNetV2 into this folder. Raises ValueError where it holds something else."""
    with tarfile.open(package) as opened:
        model, weights = (_text(opened, _INSIDE.format(name)) for name in ("model", "group1-shard1of1"))
    found = re.search(r'"([A-Za-z0-9+/=]{64,})"', weights)
    if found is None:
        raise ValueError(f"{package} holds no weights")
    tensors: dict[str, NDArray[np.uint8]] = {}
    steps: dict[str, tuple[float, float]] = {}
    for name, values, step in _tensors(model, base64.b64decode(found[1])):
        tensors[torch_name(name)] = _torch_order(name, values)
        steps[torch_name(name)] = step
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / nsfw.WEIGHTS, metadata={"format": "pt", "steps": json.dumps(steps)})
    (folder / nsfw.WEIGHTS).chmod(0o644)
    nsfw.load(folder / nsfw.WEIGHTS)


def _text(package: tarfile.TarFile, name: str) -> str:
    file = package.extractfile(name)
    assert file is not None, "it is a file"
    return file.read().decode()


def _tensors(model: str, data: bytes) -> Iterator[tuple[str, NDArray[np.uint8], tuple[float, float]]]:
    """Each tensor by its name in Keras, with its scale and least value; they lie one after the other."""
    offset = 0
    for match in _TENSOR.finditer(model):
        shape = tuple(int(side) for side in match["shape"].split(","))
        size = int(np.prod(shape))
        yield (
            match["name"],
            np.frombuffer(data, np.uint8, size, offset).reshape(shape),
            (float(match["scale"]), float(match["least"])),
        )
        offset += size
    if offset != len(data):
        raise ValueError(f"it says of {offset} bytes what they are, and there are {len(data)}")


def torch_name(name: str) -> str:
    """What a tensor of Keras' MobileNetV2 is called in transformers' one."""
    layer, _, kind = name.rpartition("/")
    if layer.startswith("dense_"):
        return f"head.{2 * (int(layer[6:]) - 1)}.{'weight' if kind == 'kernel' else 'bias'}"
    part = f"normalization.{_NORMS[kind]}" if kind in _NORMS else "convolution.weight"
    if layer in ("Conv1", "bn_Conv1"):
        return f"tower.conv_stem.first_conv.{part}"
    if layer in ("Conv_1", "Conv_1_bn"):
        return f"tower.conv_1x1.{part}"
    block, _, place = layer.removesuffix("_BN").rpartition("_")
    if block == "expanded_conv":
        return f"tower.conv_stem.{_PARTS[place]}.{part}"
    return f"tower.layer.{int(block.removeprefix('block_')) - 1}.{_PARTS[place]}.{part}"


def _torch_order(name: str, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keras has (height, width, in, out), or of a depthwise kernel (height, width, channel, 1); torch the other way."""
    if name.endswith("depthwise_kernel"):
        values = values.transpose(2, 3, 0, 1)
    elif values.ndim == 4:
        values = values.transpose(3, 2, 0, 1)
    elif values.ndim == 2:
        values = values.T
    return np.ascontiguousarray(values)


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
