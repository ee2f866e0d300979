"""How large tiles are: never more than the memory holds, as few as that allows, and counted as they are run."""

from __future__ import annotations

import pytest

from inference.catalog.entries import UpscalerEntry
from inference.networks import tiles

X4PLUS = UpscalerEntry(title="A", arch="rrdb", path="a.pth", scale=4)
X2PLUS = UpscalerEntry(title="B", arch="rrdb", path="b.pth", scale=2)
GENERAL = UpscalerEntry(title="C", arch="srvgg", path="c.pth", scale=4, num_conv=32)
GIB = 2**30


def taken(entry: UpscalerEntry, width: int, height: int, tile: int) -> int:
    """What the estimate says that half precision takes of the device."""
    side = tile + 2 * tiles.PADDING if tile else max(width, height)
    whole = width * height * 3 * (2 + entry.scale**2 * 6)
    return whole + min(width, side) * min(height, side) * tiles.numbers_per_pixel(entry) * 2


@pytest.mark.parametrize("entry", [X4PLUS, X2PLUS, GENERAL], ids=["x4plus", "x2plus", "general"])
@pytest.mark.parametrize("gib", [4, 6, 8, 16, 24, 80])
@pytest.mark.parametrize(("width", "height"), [(3840, 2160), (2160, 4096), (1024, 1024), (64, 64), (20000, 20)])
def test_a_picture_never_takes_more_than_is_free(entry: UpscalerEntry, gib: int, width: int, height: int) -> None:
    tile = tiles.tile_for(entry, width, height, gib * GIB, number_bytes=2)
    assert taken(entry, width, height, tile) <= gib * GIB
    assert tile in (0, *tiles.TILES)


def test_more_memory_gives_larger_tiles_until_the_picture_is_whole() -> None:
    sides = [tiles.tile_for(X4PLUS, 1000, 800, int(gib * GIB), number_bytes=2) for gib in (0.5, 1, 2, 4, 16)]
    assert sides == [*sorted(sides[:-1]), 0]
    assert sides[0] < sides[-2]
    assert tiles.tile_for(GENERAL, 3840, 2160, 80 * GIB, number_bytes=2) == tiles.TILES[0], (
        "so that it can be cancelled"
    )
    assert tiles.tile_for(GENERAL, 3840, 2160, 80 * GIB, number_bytes=2, largest=256) == 256


def test_without_any_memory_the_smallest_tiles_are_tried() -> None:
    assert tiles.tile_for(X4PLUS, 3840, 2160, 0, number_bytes=4) == tiles.TILES[-1]


def test_what_was_too_large_is_halved_down_to_the_smallest() -> None:
    tried = [0]
    while (side := tiles.smaller(tried[-1], 900, 300)) is not None:
        tried.append(side)
    assert tried == [0, 384, 192, 64]
    assert tiles.smaller(0, 50, 50) is None


def test_tiles_are_even_as_two_fold_networks_need_them() -> None:
    assert all(tile % 2 == 0 for tile in (*tiles.TILES, tiles.PADDING))
