"""Masks: drawn from outlines, turned round, grown or shrunk."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageOps

from inference.protocol import Region

STEP = 0.015
"""How far one step grows or shrinks a mask, as a share of the picture's longer side."""


def drawn(regions: Sequence[Region], size: tuple[int, int], *, grow: int = 0, invert: bool = False) -> Image.Image:
    """The mask of these regions, L, white inside, then `changed`."""
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for region in regions:
        for outline in region.polygons:
            draw.polygon(outline, fill=255)
    return changed(mask, grow=grow, invert=invert)


def changed(mask: Image.Image, *, grow: int, invert: bool) -> Image.Image:
    """The mask turned round where asked, then grown by so many steps, or shrunk."""
    if invert:
        mask = ImageOps.invert(mask)
    if grow:
        reach = max(1, round(abs(grow) * STEP * max(mask.size)))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        change = cv2.dilate if grow > 0 else cv2.erode
        # Beyond the picture's edge nothing is known: it neither eats into a mask nor feeds it.
        mask = Image.fromarray(change(np.array(mask), disc))
    return mask
