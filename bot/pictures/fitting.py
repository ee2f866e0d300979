"""Makes pictures fit what Discord carries: first by a lossy format, then by size, and the original in lossless parts.

Runs in the child processes of `workers`, on our own PNG files, and leaves what it makes in a folder. What the PNG says
in XMP of the picture's origin goes with every file, and so does its recipe as other tools read it.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from bot.errors import MemberError
from bot.words import N_
from inference.protocol import XMP_KEYWORD, Reason, because

QUALITIES = (95, 88, 78, 65)
"""Tried in this order; below the last, a smaller picture looks better than a coarser one."""

HOPELESS = 6
"""So many times too large at the first quality, a picture is too large at the last: that has about a quarter."""

SHOWN_AS = N_("shown as {format}: the original, {megabytes} MB, is too large for Discord here")
SHOWN_SMALLER = N_("shown as {format} and {size}: the original, {megabytes} MB, is too large for Discord here")
PACKED = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""As the engine packs the PNG, by whose size its tiles are cut; Pillow's default takes seven times as long."""

COMMENT_MAX_BYTES = 60_000
"""What the EXIF of a JPEG holds."""

SMALL_SIDE, SMALL_QUALITY = 256, 80
"""Of a picture in a list: Discord shows it at a third of that, sharp on the finest screens."""

WEBP_MAX_SIDE = 16_383
LOSSLESS_WEBP_MAX_PIXELS = 60_000_000
"""Its encoder takes forty bytes a pixel."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as it goes out."""

    file: Path
    suffix: str
    """Of its file name: png, webp or jpg."""
    note: Reason | None = None
    """What was changed to make it fit, for the member; None for the original."""


def whole(png: Path, limit: int) -> Shown | None:
    """The picture itself where it fits: nothing of it is decoded, so no child is needed. Raises FileNotFoundError."""
    return Shown(png, "png") if png.stat().st_size <= limit else None


def fit(png: Path, limit: int, folder: Path) -> Shown:
    """A picture of more than `limit` bytes in so few, as good as that allows."""
    original = png.stat().st_size
    with _opened(png) as picture:
        for candidate, size in _candidates(picture, original / limit):
            for quality in QUALITIES if size == picture.size else QUALITIES[-2:]:
                file, suffix = _lossy(candidate, quality, folder)
                if file.stat().st_size <= limit:
                    name, megabytes = {"webp": "WebP", "jpg": "JPEG"}[suffix], round(original / 1e6, 1)
                    if size == picture.size:
                        return Shown(file, suffix, because(SHOWN_AS, format=name, megabytes=megabytes))
                    across = f"{size[0]}x{size[1]}"
                    return Shown(file, suffix, because(SHOWN_SMALLER, format=name, size=across, megabytes=megabytes))
                too_large = file.stat().st_size / limit
                file.unlink()
                if too_large > HOPELESS:
                    break
    raise AssertionError("a picture of a few pixels fits any limit")


def parts(png: Path, limit: int, folder: Path) -> list[Shown]:
    """A picture of more than `limit` bytes without any loss in files of at most so many: one where that is possible,
    else tiles of it, row by row."""
    with _opened(png) as picture:
        if max(picture.size) <= WEBP_MAX_SIDE and picture.width * picture.height <= LOSSLESS_WEBP_MAX_PIXELS:
            file = _saved(picture, "WEBP", folder, lossless=True, quality=50, method=2)
            if file.stat().st_size <= limit:
                return [Shown(file, "webp")]
            file.unlink()
        across = math.ceil(math.sqrt(png.stat().st_size / limit))
        while True:
            tiles = [Shown(_saved(picture.crop(box), "PNG", folder), "png") for box in _grid(picture.size, across)]
            if max(tile.file.stat().st_size for tile in tiles) <= limit:
                return tiles
            for tile in tiles:
                tile.file.unlink()
            across += 1


def converted(png: Path, kind: str, quality: int, folder: Path) -> Shown:
    """A picture in another of the formats that browsers show, at this quality of 1 to 100: webp or jpeg. Raises
    MemberError where that holds no such picture."""
    with _opened(png) as picture:
        if kind == "webp":
            if max(picture.size) > WEBP_MAX_SIDE:
                raise MemberError("WebP holds up to {most} pixels a side: choose another format.", most=WEBP_MAX_SIDE)
            return Shown(_saved(picture, "WEBP", folder, quality=quality, method=4), "webp")
        return Shown(_saved(picture.convert("RGB"), "JPEG", folder, quality=quality, optimize=True), "jpg")


def small(png: Path, folder: Path) -> Path:
    """A small WebP of a picture, for lists. Its recipe, which may be larger than all of it, stays with the picture."""
    with _opened(png) as picture:
        picture.thumbnail((SMALL_SIDE, SMALL_SIDE), Image.Resampling.LANCZOS)
        picture.info.pop("parameters", None)
        return _saved(picture, "WEBP", folder, quality=SMALL_QUALITY, method=4)


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


def _grid(size: tuple[int, int], across: int) -> Iterator[tuple[int, int, int, int]]:
    """The tiles that cut a picture into `across` times `across`, row by row."""
    xs = [size[0] * number // across for number in range(across + 1)]
    ys = [size[1] * number // across for number in range(across + 1)]
    for row in range(across):
        for column in range(across):
            yield xs[column], ys[row], xs[column + 1], ys[row + 1]


def _lossy(picture: Image.Image, quality: int, folder: Path) -> tuple[Path, str]:
    if max(picture.size) <= WEBP_MAX_SIDE:
        return _saved(picture, "WEBP", folder, quality=quality, method=4), "webp"
    return _saved(picture.convert("RGB"), "JPEG", folder, quality=quality, optimize=True), "jpg"


def _saved(picture: Image.Image, kind: str, folder: Path, **options: object) -> Path:
    # Pillow hands a picture's info on to what is made of it, but writes none of it by itself.
    xmp, recipe = picture.info.get("xmp"), picture.info.get("parameters", "")
    if kind == "PNG":
        options |= PACKED
        options["pnginfo"] = texts = PngInfo()
        if xmp:
            texts.add_itxt(XMP_KEYWORD, xmp.decode())
        if recipe:
            texts.add_itxt("parameters", recipe)
    else:
        options |= {"xmp": xmp} if xmp else {}
        options |= {"exif": _commented(recipe)} if 0 < 2 * len(recipe) < COMMENT_MAX_BYTES else {}
    file = folder / f"{secrets.token_hex(8)}.{kind.lower()}"
    picture.save(file, format=kind, **options)
    return file


def _commented(recipe: str) -> Image.Exif:
    """Where tools look for a recipe in a WebP or JPEG."""
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: b"UNICODE\0" + recipe.encode("utf-16-be")}
    return exif


@contextlib.contextmanager
def _opened(png: Path) -> Iterator[Image.Image]:
    """One of our own files, decoded: as large as the engine was allowed to make it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(png, formats=("PNG",))
    with picture:
        picture.load()
        yield picture
