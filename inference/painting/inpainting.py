"""Painting a part of a picture anew: which crop of it the model sees, what a model that only edits is told of it, and
how what was painted is put back.

Outside the mask every pixel stays as it was, bit for bit: the model's autoencoder never touches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter

from inference.errors import InvalidInput
from inference.models.handles import PictureModel
from inference.painting import decoding

SURROUNDINGS = 0.5
"""What the model sees around the masked part, on each side, as a share of it: enough to go on from."""

FEATHER = 0.015
"""How far inside the mask old and new pixels mix, as a share of the crop."""

PAINTED = 128
"""From this lightness on a pixel of a mask is painted."""


@dataclass(frozen=True)
class InpaintArea:
    """A picture, the part of it that is painted anew, and the crop around that part which the model sees."""

    picture: Image.Image
    """RGB or RGBA."""
    mask: Image.Image
    """L, of the picture's size: white is painted, black stays."""
    crop: tuple[int, int, int, int]
    """Left, top, right and bottom in pixels."""

    def seen(self, width: int, height: int) -> Image.Image:
        """The crop at the size that the model paints, RGB."""
        # On grey, not on white: what is transparent is what is to be painted, most often.
        ground = Image.new("RGBA", self.picture.size, "grey")
        opaque = Image.alpha_composite(ground, self.picture.convert("RGBA")).convert("RGB")
        return opaque.crop(self.crop).resize((width, height), Image.Resampling.LANCZOS)

    def marked(self, width: int, height: int) -> Image.Image:
        """The mask of the crop at that size, L: white wherever anything is painted, if only a part of a pixel."""
        shares = self.mask.crop(self.crop).resize((width, height), Image.Resampling.BOX)
        return shares.point(lambda share: 255 if share else 0)

    def painted_cells(self, rows: int, columns: int) -> torch.Tensor:
        """Which cells of the latent grid are painted, if only in part: float, (1, 1, rows, columns)."""
        cells = self.mask.crop(self.crop).resize((columns, rows), Image.Resampling.BOX)
        return torch.from_numpy(np.array(cells) > 0).float()[None, None]

    def kept_pixels(self, width: int, height: int) -> torch.Tensor:
        """Which pixels of what is seen are not painted, not even in part: float, (1, 1, height, width)."""
        return 1 - self.painted_cells(height, width)

    def put_back(self, painted: Image.Image) -> Image.Image:
        """The picture with what was painted of the crop in the place of what the mask names."""
        left, top, right, bottom = self.crop
        new = painted.convert(self.picture.mode).resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        mask = self.mask.crop(self.crop)
        soft = mask.filter(ImageFilter.GaussianBlur(max(1.0, FEATHER * max(mask.size))))
        whole = self.picture.copy()
        # Mixed inwards only. Paste computes with rounding: where the share is 0 it leaves the bits alone.
        whole.paste(new, (left, top), ImageChops.darker(mask, soft))
        return whole


def told(areas: Sequence[InpaintArea], model: PictureModel, width: int, height: int) -> dict[str, Any]:
    """What the pipeline of a model that only edits is told of what it paints at this size, one area for each picture.

    What is kept is encoded without chance, so that the noise of a picture stays that of its seed.
    """
    seen, factor = [area.seen(width, height) for area in areas], model.pipeline.vae_scale_factor
    if model.family.fills:
        return {"image": seen, "mask_image": [area.marked(width, height) for area in areas]}
    cells = torch.cat([area.painted_cells(height // factor, width // factor) for area in areas])
    kept = [
        decoding.encode(model.pipeline, model.family, picture, area.kept_pixels(width, height))
        for area, picture in zip(areas, seen, strict=True)
    ]
    return {
        "image": seen,
        # It picks one pixel for each cell.
        "mask_image": cells.repeat_interleave(factor, 2).repeat_interleave(factor, 3),
        "masked_image_latents": torch.cat(kept),
        # All of the steps that the scheduler has: how many those are is the pass's business.
        "strength": 1.0,
    }


def area(picture: Image.Image, mask: Image.Image, aspect: float, least_width: int) -> InpaintArea:
    """What is to be painted of a picture, seen in a crop of this aspect (width by height) that is no narrower.

    Raises InvalidInput where the mask is of another size, or nothing of it is white.
    """
    if mask.size != picture.size:
        raise InvalidInput("mask_size")
    mask = mask.convert("L").point(lambda lightness: 255 if lightness >= PAINTED else 0)
    box = mask.getbbox()
    if box is None:
        raise InvalidInput("nothing_marked")
    return InpaintArea(picture, mask, _crop(box, picture.size, aspect, least_width))


def _crop(
    box: tuple[int, int, int, int], size: tuple[int, int], aspect: float, least_width: int
) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    wanted_width = max((right - left) * (1 + 2 * SURROUNDINGS), least_width)
    wanted_height = max((bottom - top) * (1 + 2 * SURROUNDINGS), wanted_width / aspect)
    width = min(round(max(wanted_width, wanted_height * aspect)), size[0])
    height = min(round(wanted_height), size[1])
    # Where the picture ends, the crop ends: a few pixels squeezed are better than something made up beyond it.
    x = min(max(0, (left + right - width) // 2), size[0] - width)
    y = min(max(0, (top + bottom - height) // 2), size[1] - height)
    return x, y, x + width, y + height
