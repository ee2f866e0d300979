"""How large tiles are: never more than the memory holds, as few as that allows, and counted as they are run."""

from __future__ import annotations

import pytest

from inference.catalog.entries import UpscalerEntry
from inference.networks import tiles
from inference.networks.tiles import Appetite

X4PLUS = tiles.appetite(UpscalerEntry(title="A", arch="rrdb", path="a.pth", scale=4))
X2PLUS = tiles.appetite(UpscalerEntry(title="B", arch="rrdb", path="b.pth", scale=2))
GENERAL = tiles.appetite(UpscalerEntry(title="C", arch="srvgg", path="c.pth", scale=4, num_conv=32))
SWINIR = Appetite(scale=4, numbers_per_pixel=5000, whole=True)
GIB = 2**30


def taken(appetite: Appetite, width: int, height: int, tile: int) -> int:
    """What the estimate says that half precision takes of the device."""
    side = tile + 2 * tiles.PADDING if tile else max(width, height)
    whole = width * height * 3 * (2 + appetite.scale**2 * 6)
    return whole + min(width, side) * min(height, side) * appetite.numbers_per_pixel * 2


@pytest.mark.parametrize("appetite", [X4PLUS, X2PLUS, GENERAL, SWINIR], ids=["x4plus", "x2plus", "general", "swinir"])
@pytest.mark.parametrize("gib", [4, 6, 8, 16, 24, 80])
@pytest.mark.parametrize(("width", "height"), [(3840, 2160), (2160, 4096), (1024, 1024), (64, 64), (20000, 20)])
def test_a_picture_never_takes_more_than_is_free(appetite: Appetite, gib: int, width: int, height: int) -> None:
    tile = tiles.tile_for(appetite, width, height, gib * GIB, number_bytes=2)
    assert taken(appetite, width, height, tile) <= gib * GIB
    assert tile in (0, *tiles.TILES)


def test_more_memory_gives_larger_tiles_until_the_picture_is_whole() -> None:
    sides = [tiles.tile_for(X4PLUS, 1000, 800, int(gib * GIB), number_bytes=2) for gib in (0.5, 1, 2, 4, 16)]
    assert sides == [*sorted(sides[:-1]), 0]
    assert sides[0] < sides[-2]
    assert tiles.tile_for(GENERAL, 3840, 2160, 80 * GIB, number_bytes=2) == tiles.TILES[0], (
        "so that it can be cancelled"
    )
    assert tiles.tile_for(GENERAL, 3840, 2160, 80 * GIB, number_bytes=2, largest=256) == 256


def test_what_looks_at_all_of_a_picture_is_given_all_of_it_where_that_fits() -> None:
    assert tiles.tile_for(SWINIR, 1500, 1400, 80 * GIB, number_bytes=2) == 0
    assert tiles.tile_for(SWINIR, 700, 500, 80 * GIB, number_bytes=4, largest=256) == 0
    assert tiles.tile_for(GENERAL, 700, 500, 80 * GIB, number_bytes=4, largest=256) == 256
    # Else as much of it as fits, whatever the others are cut into for somebody's patience.
    assert tiles.tile_for(SWINIR, 1500, 1400, 24 * GIB, number_bytes=2, largest=256) == 1024


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
