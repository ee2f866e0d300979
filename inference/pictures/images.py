"""Pictures as bytes and bytes as pictures: PNG for what is kept, a small WebP grid for what is glanced at.

What comes in is checked before it is decoded: this process trusts nobody.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping, Sequence

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from inference.errors import InvalidInput
from inference.protocol import XMP_KEYWORD, Input
from inference.silence import silenced

PREVIEW_PIXELS = 512
"""The longer side of a preview. Discord shows it about this large."""

MAX_ENLARGED = 4
"""So many times as wide and high as a picture its preview is at most: packing larger ones of 64 pixels took a ninth of
the time of painting them together."""

MAX_PIXELS = 2**26
"""Of a picture that comes in: 8192x8192."""


def read(files: Mapping[str, bytes], expected: Input) -> Image.Image:
    """The picture that a request works on, RGB or, where it has transparency, RGBA.

    Raises InvalidInput where it is not the PNG it was said to be, larger than MAX_PIXELS or broken.
    """
    if expected.width * expected.height > MAX_PIXELS:
        raise InvalidInput("input_pixels", width=expected.width, height=expected.height)
    try:
        # Of sizes Pillow only warns, at a limit of its own; here they are known before, and compared.
        with silenced(), Image.open(io.BytesIO(files[expected.sha256]), formats=("PNG",)) as picture:
            if picture.size != (expected.width, expected.height):
                raise InvalidInput("input_size")
            transparent = "A" in picture.getbands() or "transparency" in picture.info
            return picture.convert("RGBA" if transparent else "RGB")
    except UnidentifiedImageError as error:
        raise InvalidInput("input_broken") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput("input_broken") from error


def opaque(picture: Image.Image) -> Image.Image:
    """The picture on white where it is transparent: what hides behind transparency is not for anybody to see."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def fitting(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture at this size, opaque: cut to its proportions, not squeezed into them."""
    return ImageOps.fit(opaque(picture), (width, height), Image.Resampling.LANCZOS)


def png(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    """The picture as PNG with these text chunks.

    What fits Latin-1 is written as tEXt, everything else and XMP as iTXt (UTF-8), as readers of each expect.

    What Pillow's filters leave of a painted picture hardly repeats itself: to look for more than runs in it takes five
    times as long and makes it hardly smaller (docs/performance.md).
    """
    info = PngInfo()
    for keyword, text in texts.items():
        if keyword == XMP_KEYWORD:
            info.add_itxt(keyword, text)
        else:
            info.add_text(keyword, text)
    stream = io.BytesIO()
    image.save(stream, format="PNG", pnginfo=info, compress_level=1, compress_type=zlib.Z_RLE)
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
    scale = min(PREVIEW_PIXELS / (columns * width), PREVIEW_PIXELS / (rows * height), MAX_ENLARGED)
    cell = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1]), (128, 128, 128))
    for place, picture in enumerate(pictures):
        if picture is not None:
            resized = picture.convert("RGB").resize(cell, Image.Resampling.BICUBIC)
            sheet.paste(resized, (place % columns * cell[0], place // columns * cell[1]))
    return sheet
