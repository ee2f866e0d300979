"""Pictures of answers: every region in its colour with its label, every label with its bar."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from inference.pictures import drawing
from inference.protocol import LabelShare, Region
from tests.inference import tiny


def colours_in(picture: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3)}


def grey(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), (90, 90, 90))


def test_every_region_is_outlined_in_its_own_colour_and_named() -> None:
    boxes = [(10, 60, 200, 200), (220, 60, 400, 200), (60, 250, 500, 560)]
    regions = [Region(f"thing {number}", box, ()) for number, box in enumerate(boxes)]
    canvas = drawing.outlined(grey(600, 600), regions)
    assert canvas.size == (600, 600)
    pixels = np.asarray(canvas)
    for region, colour in zip(regions, drawing.COLOURS, strict=False):
        is_colour = (pixels == ImageColor.getrgb(colour)).all(axis=2)
        left, top, right, bottom = (int(edge) for edge in region.box)
        assert is_colour[top : bottom + 1, left].mean() > 0.9
        assert is_colour[bottom, left : right + 1].mean() > 0.9
        assert is_colour[top - 20 : top, left : left + 40].any(), "its label stands over it"
        assert not is_colour[(top + bottom) // 2, (left + right) // 2], "a box is not filled"


def test_outlines_are_tinted_inside_and_only_there() -> None:
    triangle = ((100.0, 500.0), (500.0, 500.0), (300.0, 100.0))
    canvas = drawing.outlined(grey(600, 600), [Region("tent", (100, 100, 500, 500), (triangle,))])
    pixels = np.asarray(canvas)
    assert tuple(pixels[400, 300]) != (90, 90, 90)
    assert tuple(pixels[550, 50]) == (90, 90, 90)


def test_a_small_picture_is_shown_large_with_its_own_pixels() -> None:
    small = tiny.picture(64, 48)
    canvas = drawing.outlined(small, [Region("dot", (2, 2, 4, 4), ())])
    assert canvas.size == (512, 384)
    assert tuple(np.asarray(canvas)[380, 508]) == tuple(np.asarray(small)[47, 63])


@pytest.mark.parametrize("size", [(64, 64), (3000, 40), (40, 3000), (900, 700)])
def test_many_regions_anywhere_never_break_the_drawing(size: tuple[int, int]) -> None:
    chance = np.random.default_rng(1)
    regions = []
    for number in range(60):
        xs, ys = (np.sort(chance.uniform(0, side, 2)) for side in size)
        label = "a very long label that goes on and on " * (number % 4) + "x"
        regions.append(Region(label, (xs[0], ys[0], xs[1], ys[1]), ()))
    assert drawing.outlined(tiny.picture(*size, mode="RGBA"), regions).mode == "RGB"


def test_labels_of_regions_at_one_place_do_not_cover_each_other() -> None:
    regions = [Region(f"name {number}", (100, 200, 300, 500), ()) for number in range(4)]
    colours = colours_in(drawing.outlined(grey(600, 600), regions))
    assert {ImageColor.getrgb(colour) for colour in drawing.COLOURS[:4]} <= colours


@pytest.mark.parametrize(("count", "columns"), [(6, 1), (25, 1), (26, 2), (50, 2)])
def test_a_chart_has_a_row_for_every_label(count: int, columns: int) -> None:
    shares = [LabelShare(f"label {number}", 2.0 ** -(number + 1)) for number in range(count)]
    chart = drawing.bars(shares)
    assert chart.width == columns * drawing.CHART_WIDTH
    rows = -(-count // columns)
    assert chart.height == (rows + 1) * drawing.ROW_HEIGHT
    pixels = np.asarray(chart)
    bar = np.array(ImageColor.getrgb("#7983F5"))
    middles = [int(drawing.ROW_HEIGHT * (row + 1)) for row in range(rows)]
    lengths = [(pixels[middle, : drawing.CHART_WIDTH] == bar).all(axis=1).sum() for middle in middles]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 150, "half a bar for a share of a half"
    assert lengths[-1] >= 1
    assert abs(lengths[1] - lengths[0] / 2) < 3


def test_a_long_label_is_cut_and_an_unlikely_one_still_has_its_number() -> None:
    shares = [LabelShare("x" * 100, 1.0), *(LabelShare("名前 имя", 0.0) for _ in range(5))]
    pixels = np.asarray(drawing.bars(shares))
    background = np.array(ImageColor.getrgb("#2B2D31"))
    between = pixels[drawing.ROW_HEIGHT, 226:233]
    assert (between == background).all(), "the label ends before its bar begins"
    last = pixels[-drawing.ROW_HEIGHT, -100:]
    assert (last != background).any()
