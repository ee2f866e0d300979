"""The invisible watermark: not seen, found again after what pictures go through, and never where it is not."""

from __future__ import annotations

import hashlib
import io
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from inference.marks import watermark
from starter.render import render
from starter.world import Scene
from tests.inference import tiny


def renders(count: int, seed: int = 0) -> list[Image.Image]:
    """Pictures of the starter's world at 256 pixels, of every style, place and time."""
    rng = random.Random(seed)
    return [render(Scene.sample(rng), 256).convert("RGB") for _ in range(count)]


@pytest.fixture(scope="module")
def marked() -> list[Image.Image]:
    return [watermark.embed(picture) for picture in renders(30)]


def again(kind: str, quality: int) -> Callable[[Image.Image], Image.Image]:
    def saved(picture: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, format=kind, quality=quality)
        return Image.open(stream).convert("RGB")

    return saved


def there_and_back(share: float) -> Callable[[Image.Image], Image.Image]:
    def resized(picture: Image.Image) -> Image.Image:
        size = (round(picture.width * share), round(picture.height * share))
        return picture.resize(size, Image.Resampling.LANCZOS).resize(picture.size, Image.Resampling.LANCZOS)

    return resized


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("nothing", lambda picture: picture),
        ("JPEG 90", again("JPEG", 90)),
        ("JPEG 75", again("JPEG", 75)),
        ("JPEG 50", again("JPEG", 50)),
        ("WebP 88", again("WEBP", 88)),
        ("75 % and back", there_and_back(0.75)),
        ("half and back", there_and_back(0.5)),
        ("a crop", lambda picture: picture.crop((11, 7, 203, 199))),
        ("a quarter", lambda picture: picture.crop((90, 70, 218, 198))),
        ("a crop as JPEG 75", lambda picture: again("JPEG", 75)(picture.crop((11, 7, 203, 199)))),
        ("darker", lambda picture: picture.point(lambda value: value * 0.7)),
        ("greys", lambda picture: picture.convert("L").convert("RGB")),
    ],
)
def test_mark_is_found_in_every_picture_after(
    what: str, change: Callable[[Image.Image], Image.Image], marked: list[Image.Image]
) -> None:
    lost = [watermark.agreement(change(picture)) for picture in marked if not watermark.found(change(picture))]
    assert not lost, f"{what}: {len(lost)} of {len(marked)} lost"


def test_it_is_found_in_no_picture_without_it() -> None:
    agreements = [watermark.agreement(picture) for picture in renders(200, seed=1)]
    assert max(agreements) < 0.8 * watermark.THRESHOLD
    # Nor where there is nothing at all, or everything repeats itself with the mark's own period.
    stripes = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8) % 64 * 4, (256, 1))).convert("RGB")
    for picture in (Image.new("RGB", (256, 256)), Image.new("RGB", (9, 8), "white"), stripes, tiny.picture(300, 300)):
        assert not watermark.found(picture)


def test_change_stays_below_what_is_seen(marked: list[Image.Image]) -> None:
    for before, after in zip(renders(30), marked, strict=True):
        change = np.asarray(after).astype(float) - np.asarray(before)
        assert np.abs(change).max() <= 5
        assert 10 * np.log10(255**2 / np.square(change).mean()) > 43.5


def test_same_picture_gets_the_same_mark_for_ever(marked: list[Image.Image]) -> None:
    assert [picture.tobytes() for picture in marked] == [watermark.embed(p).tobytes() for p in renders(30)]
    # Another noise would not be found by, nor find, pictures that were marked before.
    noise = watermark._noise().astype("<i2").tobytes()
    assert hashlib.sha256(noise).hexdigest() == "d8886cf018431dd84b76f457c4baca93b9d6d1d00581ec7f8dde3020602a99d7"


def part_of(picture: Image.Image, share: float, chance: random.Random) -> Image.Image:
    """A mask of a square somewhere in the picture, of this share of it."""
    side = math.ceil(min(picture.size) * share**0.5)
    left, top = (chance.randrange(length - side + 1) for length in picture.size)
    mask = Image.new("L", picture.size)
    mask.paste(255, (left, top, left + side, top + side))
    return mask


@pytest.mark.parametrize(("size", "share"), [(256, 0.5), (1024, 0.1)])
def test_mark_within_a_part_is_found_and_no_other_bit_changes(size: int, share: float) -> None:
    chance = random.Random(0)
    for picture in (each.resize((size, size)) for each in renders(6)):
        mask = part_of(picture, share, chance)
        assert watermark.fits(picture, mask)
        marked = watermark.embed(picture, mask)
        outside = np.array(mask) == 0
        assert np.array_equal(np.array(marked)[outside], np.array(picture)[outside])
        assert (np.array(marked)[~outside] != np.array(picture)[~outside]).mean() > 0.5
        assert watermark.found(marked)
        assert watermark.found(again("JPEG", 75)(marked))
        assert not watermark.found(picture)


def test_part_that_is_too_small_or_out_of_what_is_searched_does_not_fit() -> None:
    picture = Image.new("RGB", (2048, 1500))
    mask = Image.new("L", picture.size)
    assert not watermark.fits(picture, mask)
    mask.paste(255, (0, 0, 400, 400))
    assert not watermark.fits(picture, mask)
    mask.paste(255, (1000, 700, 1100, 800))
    assert not watermark.fits(picture, mask)
    mask.paste(255, (900, 600, 1200, 900))
    assert watermark.fits(picture, mask)
    assert not watermark.fits(Image.new("RGB", (255, 900)), Image.new("L", (255, 900), 255))


def test_transparency_is_left_alone() -> None:
    picture = tiny.picture(300, 260, mode="RGBA")
    after = watermark.embed(picture)
    assert after.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
    assert watermark.found(after)


def test_middle_of_a_large_picture_is_enough() -> None:
    large = renders(1)[0].resize((1500, 1300))
    assert watermark.found(watermark.embed(large))
    assert not watermark.found(large)
