"""Pictures that a model is shown beside the words: how large, and which pipeline of its family sees them.

Nothing of them is drawn by chance: pipelines encode them to the likeliest latents.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Mapping
from typing import Any

from PIL import Image

from inference.families.record import load_class
from inference.models.handles import PictureModel
from inference.models.prompts import Beside
from inference.painting.inpainting import InpaintArea
from inference.pictures import images
from inference.protocol import Imagine, limits


def shown(request: Imagine, files: Mapping[str, bytes], area: InpaintArea | None, model: PictureModel) -> Beside:
    """The pictures that a request shows, as the model sees them; of the one that is painted in, the part around that.

    Raises InvalidInput where one cannot be read.
    """
    known = model.family.references
    assert known is not None, "the request was checked"
    pictures = []
    for reference in request.references:
        if area is not None and reference == request.image:
            pictures.append(area.seen(*_bearable(request.width, request.height, known.least_side)))
            continue
        picture = images.read(files, reference)
        size = beside(picture, request.width, request.height, model.family.size_multiple, known.least_side)
        pictures.append(images.fitting(picture, *size))
    return Beside(tuple(pictures), tuple(_digest(picture) for picture in pictures))


def beside(picture: Image.Image, width: int, height: int, multiple: int, least: int) -> tuple[int, int]:
    """The size at which a picture is shown beside what is painted at this size: as many pixels, in its own proportions.

    Exactly the same size where the proportions are, so that what is kept of it stays in its place.
    """
    scale = math.sqrt(width * height / (picture.width * picture.height))
    wide, high = (max(round(side * scale / multiple), 1) * multiple for side in picture.size)
    if abs(wide - width) <= multiple and abs(high - height) <= multiple:
        wide, high = width, height
    return _bearable(wide, high, least)


def _bearable(width: int, height: int, least: int) -> tuple[int, int]:
    """This size or, where a side is shorter than models take, a whole number of times as much; never longer than they
    take, which rounding can lead to."""
    times = -(-least // min(width, height))
    most = limits.MAX_REFERENCE_PROPORTION * min(width, height)
    return min(width, most) * times, min(height, most) * times


def pipeline(model: PictureModel, own: Any, request: Imagine) -> Any:
    """The model's own pipeline or, where that cannot do without pictures and there are none, another of its parts."""
    known = model.family.references
    if request.references or known is None or known.without is None:
        return own
    kind = load_class(known.without)
    taken = inspect.signature(kind).parameters
    alone: Any = kind(**{name: part for name, part in own.components.items() if name in taken})
    alone.set_progress_bar_config(disable=True)
    return alone


def _digest(picture: Image.Image) -> str:
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
