"""How a large picture is cut up for an upscaler, from the memory that is free: arithmetic alone, no pixels."""

from __future__ import annotations

import math

from inference.catalog.entries import UpscalerEntry

TILES = (1024, 768, 512, 384, 256, 192, 128, 64)
"""Sides of tiles that are tried, in pixels of the picture; even, as two-fold networks need them."""

PADDING = 32
"""Pixels around a tile that the network sees besides: more than it takes from so far away to see a seam."""

SHARE = 0.7
"""Of the free memory: cuDNN's workspaces and the gaps between blocks want the rest."""


def tile_for(
    entry: UpscalerEntry, width: int, height: int, free_bytes: int, number_bytes: int, largest: int = TILES[0]
) -> int:
    """The side of the largest tiles, `largest` at most, that fit these free bytes, or 0 for the whole picture at once.

    `number_bytes` is what one number takes: 2 in half precision, else 4. Where not even the smallest tiles fit, they
    are the answer all the same: the estimate is cautious, and the memory decides.
    """
    # RealESRGANer keeps the whole picture and the whole result on the device, the result once more in float32.
    whole_bytes = width * height * 3 * (number_bytes + entry.scale**2 * (number_bytes + 4))
    room_bytes = free_bytes * SHARE - whole_bytes
    allowed = [tile for tile in TILES if tile <= largest]
    for tile in allowed:
        side = tile + 2 * PADDING
        pixels = min(width, side) * min(height, side)
        if pixels * numbers_per_pixel(entry) * number_bytes <= room_bytes:
            return 0 if tile >= max(width, height) else tile
    return allowed[-1]


def smaller(tile: int, width: int, height: int) -> int | None:
    """The side to try where `tile` was too large, about half; None where there is none."""
    side = tile or max(width, height)
    return next((choice for choice in TILES if choice <= side // 2), None)


def numbers_per_pixel(entry: UpscalerEntry) -> int:
    """How many numbers the network holds at once for each pixel of its input, at its widest, about.

    An RRDBNet is widest behind its last enlargement, where input, output and enlarged features of a convolution live
    at full size; an SRVGGNetCompact never leaves the input's size before it puts the pixels in their places.
    """
    if entry.arch == "rrdb":
        return entry.num_feat * (3 * entry.scale**2 + 10)
    return 4 * entry.num_feat + 12 * entry.scale**2


def count(entry: UpscalerEntry, width: int, height: int, tile: int, transparent: bool) -> int:
    """How many passes of the network a picture takes; its transparency takes as many again."""
    passes = 1
    if tile:
        # RealESRGANer fills a picture up to sides that its network can halve, or quarter.
        multiple = {1: 4, 2: 2}.get(entry.scale, 1)
        passes = math.prod(math.ceil(math.ceil(side / multiple) * multiple / tile) for side in (width, height))
    return passes * (2 if transparent else 1)
