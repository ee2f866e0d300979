"""Makes pictures fit what Discord carries: first by a lossy format, then by size, and the original in lossless parts.

What the PNG says in XMP of the picture's origin goes with every file; the recipe stays with the original.
Everything here takes as long as encoding large pictures takes: call it from a thread of its own.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference.protocol import XMP_KEYWORD

QUALITIES = (95, 88, 78, 65)
"""Tried in this order; below the last, a smaller picture looks better than a coarser one."""

WEBP_MAX_SIDE = 16_383


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as it goes out."""

    data: bytes
    suffix: str
    """Of its file name: png, webp or jpg."""
    note: str = ""
    """What was changed to make it fit, for the member; empty for the original."""


def fit(png: bytes, limit: int) -> Shown:
    """The picture in at most `limit` bytes, as good as that allows; the PNG itself where it fits."""
    if len(png) <= limit:
        return Shown(png, "png")
    with _opened(png) as picture:
        picture.load()
        for candidate, size in _candidates(picture, len(png) / limit):
            for quality in QUALITIES if size == picture.size else QUALITIES[-2:]:
                data, suffix = _lossy(candidate, quality)
                if len(data) <= limit:
                    smaller = "" if size == picture.size else f" and {size[0]}x{size[1]}"
                    name = {"webp": "WebP", "jpg": "JPEG"}[suffix]
                    note = f"shown as {name}{smaller}: the original, {_megabytes(png)}, is too large for Discord here"
                    return Shown(data, suffix, note)
    raise AssertionError("a picture of a few pixels fits any limit")


def parts(png: bytes, limit: int) -> list[Shown]:
    """The picture without any loss in files of at most `limit` bytes: one where that is possible, else tiles of it,
    row by row, whose note says where each belongs."""
    if len(png) <= limit:
        return [Shown(png, "png")]
    with _opened(png) as picture:
        picture.load()
        if max(picture.size) <= WEBP_MAX_SIDE:
            data = _saved(picture, "WEBP", lossless=True, quality=50, method=2)
            if len(data) <= limit:
                return [Shown(data, "webp", "lossless WebP")]
        across = math.ceil(math.sqrt(len(png) / limit))
        while True:
            tiles = [
                Shown(_saved(picture.crop(box), "PNG"), "png", f"row {row + 1}, column {column + 1}")
                for row, column, box in _grid(picture.size, across)
            ]
            if max(len(tile.data) for tile in tiles) <= limit:
                return tiles
            across += 1


def _candidates(picture: Image.Image, excess: float) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """The picture, then smaller and smaller ones, down to a few pixels."""
    yield picture, picture.size
    # A lossy file is about a tenth of a PNG, so this is the first size worth a try.
    scale = min(0.8, math.sqrt(10 / excess))
    while True:
        size = (max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
        yield picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0), size
        if size == (8, 8):
            return
        scale *= 0.75


def _grid(size: tuple[int, int], across: int) -> Iterator[tuple[int, int, tuple[int, int, int, int]]]:
    """Row, column and box of the tiles that cut a picture into `across` times `across`."""
    xs = [size[0] * number // across for number in range(across + 1)]
    ys = [size[1] * number // across for number in range(across + 1)]
    for row in range(across):
        for column in range(across):
            yield row, column, (xs[column], ys[row], xs[column + 1], ys[row + 1])


def _lossy(picture: Image.Image, quality: int) -> tuple[bytes, str]:
    if max(picture.size) <= WEBP_MAX_SIDE:
        return _saved(picture, "WEBP", quality=quality, method=4), "webp"
    return _saved(picture.convert("RGB"), "JPEG", quality=quality, optimize=True), "jpg"


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    # Pillow hands a picture's info on to what is made of it, but writes none of it by itself.
    if xmp := picture.info.get("xmp"):
        if kind == "PNG":
            options["pnginfo"] = texts = PngInfo()
            texts.add_itxt(XMP_KEYWORD, xmp.decode())
        else:
            options["xmp"] = xmp
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return stream.getvalue()


def _opened(png: bytes) -> Image.Image:
    # Our own files: as large as the engine was allowed to make them.
    Image.MAX_IMAGE_PIXELS = None
    return Image.open(io.BytesIO(png), formats=("PNG",))


def _megabytes(data: bytes) -> str:
    return f"{len(data) / 1e6:.1f} MB"
