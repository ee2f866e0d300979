"""How a large picture is cut up for an upscaler, from the memory that is free: arithmetic alone, no pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inference.catalog.entries import UpscalerEntry

TILES = (1024, 768, 512, 384, 256, 192, 128, 64)
"""Sides of tiles that are tried, in pixels of the picture; even, as two-fold networks need them."""

PADDING = 32
"""Pixels around a tile that the network sees besides: more than it takes from so far away to see a seam."""

SHARE = 0.7
"""Of the free memory: cuDNN's workspaces and the gaps between blocks want the rest."""


class TileTooLarge(Exception):
    """The device's memory does not hold a tile of this size, or the whole picture."""


@dataclass(frozen=True)
class Appetite:
    """What of a network decides how a picture is cut up for it."""

    scale: int
    """How many times as wide and high it makes a picture."""
    numbers_per_pixel: int
    """How many numbers it holds at once for each pixel of its input, at its widest, about."""
    whole: bool = False
    """Whether it looks at all of a picture: tiles are what is left where the memory does not hold that."""


def appetite(entry: UpscalerEntry) -> Appetite:
    """That of one of Real-ESRGAN's two networks, from its sizes.

    An RRDBNet is widest behind its last enlargement, where input, output and enlarged features of a convolution live
    at full size; an SRVGGNetCompact never leaves the input's size before it puts the pixels in their places.
    """
    scale = entry.scale or 1
    if entry.arch == "rrdb":
        return Appetite(scale, entry.num_feat * (3 * scale**2 + 10))
    return Appetite(scale, 4 * entry.num_feat + 12 * scale**2)


def tile_for(
    appetite: Appetite, width: int, height: int, free_bytes: int, number_bytes: int, largest: int = TILES[0]
) -> int:
    """The side of the largest tiles, `largest` at most, that fit these free bytes, or 0 for the whole picture at once.

    `number_bytes` is what one number takes: 2 in half precision, else 4. Where not even the smallest tiles fit, they
    are the answer all the same: the estimate is cautious, and the memory decides.
    """
    # RealESRGANer keeps the whole picture and the whole result on the device, the result once more in float32.
    whole_bytes = width * height * 3 * (number_bytes + appetite.scale**2 * (number_bytes + 4))
    room_bytes = free_bytes * SHARE - whole_bytes

    def fits(side: int) -> bool:
        pixels = min(width, side) * min(height, side)
        return pixels * appetite.numbers_per_pixel * number_bytes <= room_bytes

    if appetite.whole:
        if fits(max(width, height)):
            return 0
        largest = TILES[0]
    allowed = [tile for tile in TILES if tile <= largest]
    for tile in allowed:
        if fits(tile + 2 * PADDING):
            return 0 if tile >= max(width, height) else tile
    return allowed[-1]


def smaller(tile: int, width: int, height: int) -> int | None:
    """The side to try where `tile` was too large, about half; None where there is none."""
    side = tile or max(width, height)
    return next((choice for choice in TILES if choice <= side // 2), None)


def count(scale: int, width: int, height: int, tile: int, transparent: bool) -> int:
    """How many passes of a network of this scale a picture takes; its transparency takes as many again."""
    passes = 1
    if tile:
        # RealESRGANer fills a picture up to sides that its network can halve, or quarter.
        multiple = {1: 4, 2: 2}.get(scale, 1)
        passes = math.prod(math.ceil(math.ceil(side / multiple) * multiple / tile) for side in (width, height))
    return passes * (2 if transparent else 1)
