"""Pictures as bytes and bytes as pictures: PNG for what is kept, a small WebP grid for what is glanced at."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

from PIL import Image
from PIL.PngImagePlugin import PngInfo

PREVIEW_PIXELS = 512
"""The longer side of a preview. Discord shows it about this large."""


def png(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    """The picture as PNG with these text chunks.

    What fits Latin-1 is written as tEXt, everything else as iTXt (UTF-8), as readers of either expect.
    """
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    stream = io.BytesIO()
    image.save(stream, format="PNG", pnginfo=info)
    return stream.getvalue()


def webp(image: Image.Image) -> bytes:
    """The picture as a small lossy WebP."""
    stream = io.BytesIO()
    image.save(stream, format="WEBP", quality=70, method=0)
    return stream.getvalue()


def grid(pictures: Sequence[Image.Image | None], width: int, height: int) -> Image.Image:
    """Several pictures side by side in one, row by row, as square as their number allows.

    `width` and `height` give the proportions of a cell; a picture not begun yet is None and leaves its cell grey.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    scale = min(PREVIEW_PIXELS / (columns * width), PREVIEW_PIXELS / (rows * height))
    cell = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1]), (128, 128, 128))
    for place, picture in enumerate(pictures):
        if picture is not None:
            resized = picture.convert("RGB").resize(cell, Image.Resampling.BICUBIC)
            sheet.paste(resized, (place % columns * cell[0], place // columns * cell[1]))
    return sheet
