"""Which size is painted where a member says no size, or half of one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inference.protocol import Input, ModelInfo


def chosen(width: int | None, height: int | None, image: Input | None, model: ModelInfo) -> tuple[int, int]:
    """As asked for; what is left out is the model's own or, with a picture to start from or to do something to, of its
    proportions."""
    if model.remote is not None and model.remote.sizes:
        return _listed(width, height, image, model, model.remote.sizes)
    if image is None:
        return width or model.width, height or model.height
    if width and height:
        return width, height
    if width:
        return width, _side(width * image.height / image.width, model)
    if height:
        return _side(height * image.width / image.height, model), height
    return _like(image, model)


def _listed(
    width: int | None, height: int | None, image: Input | None, model: ModelInfo, sizes: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Of the sizes that there are, one with the width or height asked for, in the proportions of a picture."""
    fitting = [size for size in sizes if width in (None, size[0]) and height in (None, size[1])]
    if not fitting:
        return width or model.width, height or model.height
    if image is None:
        own = (model.width, model.height)
        return own if own in fitting else fitting[0]
    wanted = math.log(image.width / image.height)
    return min(fitting, key=lambda size: abs(math.log(size[0] / size[1]) - wanted))


def _side(pixels: float, model: ModelInfo) -> int:
    fitting = round(pixels / model.size_multiple) * model.size_multiple
    return min(max(fitting, model.min_size), model.max_size)


def _like(image: Input, model: ModelInfo) -> tuple[int, int]:
    """The model's size in the proportions of a picture, as near as its limits allow."""
    scale = math.sqrt(model.width * model.height / (image.width * image.height))
    width, height = _side(image.width * scale, model), _side(image.height * scale, model)
    while width * height > model.max_pixels:
        if width >= height:
            width -= model.size_multiple
        else:
            height -= model.size_multiple
    return width, height
