"""Which part of a picture is painted anew, and that everything outside the mask stays bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from inference.errors import InvalidInput
from inference.painting.inpainting import area
from inference.pictures.masking import drawn
from inference.protocol import Region
from tests.inference.tiny import picture


def marked(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_what_is_not_masked_keeps_every_bit(mode: str) -> None:
    old = picture(200, 120, mode)
    mask = marked(old.size, (30, 40, 70, 90))
    new = area(old, mask, aspect=1.0, least_width=64).put_back(Image.new("RGB", (64, 64), "red"))
    assert (new.mode, new.size) == (mode, old.size)
    inside = np.asarray(mask) > 0
    before, after = np.asarray(old), np.asarray(new)
    assert np.array_equal(before[~inside], after[~inside])
    assert (after[55:75, 45:55, :3] == (255, 0, 0)).all()


def test_the_crop_holds_the_mask_and_its_surroundings_in_the_asked_aspect() -> None:
    chosen = area(picture(400, 300), marked((400, 300), (180, 140, 219, 159)), aspect=1.0, least_width=16)
    left, top, right, bottom = chosen.crop
    assert left <= 160
    assert right >= 240
    assert right - left == bottom - top


def test_the_crop_is_no_narrower_than_the_model_paints_and_stays_in_the_picture() -> None:
    chosen = area(picture(400, 300), marked((400, 300), (390, 0, 399, 9)), aspect=2.0, least_width=200)
    left, top, right, bottom = chosen.crop
    assert (right - left, bottom - top) == (200, 100)
    assert (right, top) == (400, 0)
    assert area(picture(80, 60), marked((80, 60), (0, 0, 9, 9)), 1.0, 500).crop == (0, 0, 80, 60)


def test_every_cell_that_is_masked_in_part_is_painted() -> None:
    chosen = area(picture(64, 64), marked((64, 64), (15, 15, 16, 16)), aspect=1.0, least_width=64)
    cells = chosen.painted_cells(8, 8)
    assert cells.shape == (1, 1, 8, 8)
    assert [tuple(place) for place in cells[0, 0].nonzero().tolist()] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_what_hides_behind_transparency_is_not_seen() -> None:
    secret = picture(32, 32, "RGBA")
    secret.putalpha(Image.new("L", secret.size, 0))
    seen = area(secret, Image.new("L", secret.size, 255), 1.0, 32).seen(32, 32)
    assert seen.getcolors() == [(32 * 32, (128, 128, 128))]


def test_masks_that_mark_nothing_or_another_picture_are_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing_marked"):
        area(picture(32, 32), Image.new("L", (32, 32), 100), 1.0, 16)
    with pytest.raises(InvalidInput, match="mask_size"):
        area(picture(32, 32), Image.new("L", (16, 32), 255), 1.0, 16)


def test_masks_are_drawn_turned_round_grown_and_shrunk() -> None:
    square = ((20.0, 20.0), (60.0, 20.0), (60.0, 60.0), (20.0, 60.0))
    region = Region("cat", (20.0, 20.0, 60.0, 60.0), (square,))
    plain, larger, smaller, outside = (
        np.asarray(drawn([region], (100, 100), **ways)) > 0  # type: ignore[arg-type]
        for ways in ({}, {"grow": 3}, {"grow": -3}, {"invert": True})
    )
    assert plain[40, 40]
    assert not plain[10, 10]
    assert (larger.sum(), smaller.sum()) == pytest.approx(((41 + 8) ** 2, (41 - 8) ** 2), rel=0.1)
    assert larger[plain].all()
    assert plain[smaller].all()
    assert np.array_equal(outside, ~plain)
