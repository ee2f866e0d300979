"""What the watermark's figures rest on: how far two pictures look different."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from benchmarks import appearance
from benchmarks.watermark import first_version
from inference.marks import watermark


def flat(*colour: int) -> Image.Image:
    return Image.new("RGB", (128, 128), colour)


def test_plain_colours_differ_as_cielab_has_it() -> None:
    one, other = (120, 130, 200), (124, 128, 190)
    expected = np.linalg.norm(rgb2lab(np.uint8([[one]])) - rgb2lab(np.uint8([[other]])))
    assert appearance.difference(flat(*one), flat(*other), 60) == pytest.approx(expected, abs=0.05)


def test_what_is_fine_is_seen_less_and_from_nearby_more() -> None:
    rows = np.arange(128)[:, None] + np.zeros((128, 128), int)
    stripes = {
        wide: Image.fromarray((128 + 4 * (rows // wide % 2)).astype(np.uint8)).convert("RGB") for wide in (1, 2, 8)
    }
    far, near = (
        {wide: appearance.difference(flat(130, 130, 130), each, rate).mean() for wide, each in stripes.items()}
        for rate in (appearance.SCREEN, appearance.ENLARGED)
    )
    assert far[1] < far[2] < far[8]
    assert all(far[wide] < near[wide] for wide in stripes)


@pytest.mark.parametrize(("above", "below"), [((90, 160, 230), (180, 215, 245)), ((10, 10, 30), (40, 40, 90))])
def test_a_sky_shows_the_first_version_of_the_watermark_and_not_this_one(
    above: tuple[int, int, int], below: tuple[int, int, int]
) -> None:
    sky = Image.fromarray(np.linspace(above, below, 256).astype(np.uint8)[:, None].repeat(256, 1))
    was, now = (appearance.figures(sky, embed(sky)) for embed in (first_version, watermark.embed))
    assert was["seen at 2x, calm"] > 0.05
    assert now["seen at 2x, calm"] < 0.02
    assert now["seen, calm"] < 0.001
    assert now["psnr"] > was["psnr"] + 6
    assert now["ssim"] > was["ssim"]
    assert watermark.found(watermark.embed(sky))
