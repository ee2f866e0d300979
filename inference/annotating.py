"""From a member's picture to what a ControlNet follows: its edges, or the picture itself where it is a map already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

from inference.entries import Annotator

CANNY_LOW, CANNY_HIGH = 100, 200
"""Thresholds of the gradient, as the ControlNets on canny edges were trained with (Zhang et al., 2023)."""


def canny(picture: Image.Image) -> Image.Image:
    """White edges on black (Canny, 1986)."""
    return Image.fromarray(cv2.Canny(np.array(picture.convert("RGB")), CANNY_LOW, CANNY_HIGH)).convert("RGB")


ANNOTATORS: Mapping[Annotator, Callable[[Image.Image], Image.Image]] = {
    "canny": canny,
    "none": lambda picture: picture.convert("RGB"),
}
