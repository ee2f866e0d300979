"""The invisible watermark: not seen, found again after what pictures go through, and never where it is not."""

from __future__ import annotations

import hashlib
import io
import math
import random
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.watermark import first_version
from inference.marks import visibility, watermark
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
    lost = [watermark.evidence(change(picture)) for picture in marked if not watermark.found(change(picture))]
    assert not lost, f"{what}: {len(lost)} of {len(marked)} lost"


def test_it_is_found_in_no_picture_without_it() -> None:
    assert max(watermark.evidence(picture) for picture in renders(200, seed=1)) < 0.6 * watermark.EVIDENCE
    # Nor where there is nothing at all, or everything repeats itself with the mark's own period.
    stripes = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8) % 64 * 4, (256, 1))).convert("RGB")
    for picture in (Image.new("RGB", (256, 256)), Image.new("RGB", (9, 8), "white"), stripes, tiny.picture(300, 300)):
        assert not watermark.found(picture)


def steps(before: Image.Image, after: Image.Image) -> npt.NDArray[np.int16]:
    return np.subtract(after, before, dtype=np.int16)


def test_change_stays_below_what_is_seen(marked: list[Image.Image]) -> None:
    for before, after in zip(renders(30), marked, strict=True):
        assert np.abs(steps(before, after)).max() <= 12
        assert 10 * np.log10(255**2 / np.square(steps(before, after).astype(float)).mean()) > 40
    noise = np.array(Image.effect_noise((256, 256), 40))
    for light in (0, 20, 128, 235, 255):
        flat = Image.new("RGB", (256, 256), (light,) * 3)
        change = np.abs(steps(flat, watermark.embed(flat)))
        assert change.max() <= 2
        assert np.square(change.astype(float)).mean() < 0.5, light
        # Half of it flat, half lively: the flat half stays as it was beside it.
        half = Image.fromarray(np.where((np.arange(256) < 128)[:, None], noise, light).astype(np.uint8)).convert("RGB")
        lively, calm = np.split(np.square(steps(half, watermark.embed(half)).astype(float)), 2)
        assert lively.mean() > 4 * calm[16:].mean(), light


def test_livelier_places_hide_more_and_the_ends_of_lightness_less() -> None:
    light = np.full((64, 64), 128, np.uint8)
    busy = np.indices((64, 64)).sum(0) % 2 * 40 + light
    calm, edgy = (visibility.activity(each.astype(np.uint8))[32, 32] for each in (light, busy))
    assert calm == 0
    assert 15 * visibility.ONE < edgy < 25 * visibility.ONE
    levels = [
        int(visibility.hidden(np.full((1, 1), level, np.uint8), np.zeros((1, 1), np.int32), 0)[0, 0])
        for level in range(256)
    ]
    assert levels[128] == visibility.FLAT
    assert levels[0] == levels[255] == visibility.FLAT // 2
    assert sorted(levels[:128]) == levels[:128]
    # The more of a picture is lively, the less each place of it needs to bear.
    little, much = np.zeros((512, 512), np.int32), np.full((512, 512), 20 * visibility.ONE, np.int32)
    assert visibility.share(little) == visibility.SHARE
    assert visibility.LEAST_SHARE <= visibility.share(much) < visibility.SHARE // 4
    assert visibility.share(much, little > 0) == visibility.SHARE


FIRST_NOISE = "d8886cf018431dd84b76f457c4baca93b9d6d1d00581ec7f8dde3020602a99d7"


def test_mark_of_the_first_version_is_found_as_ever() -> None:
    plain = Image.new("RGB", (64, 64), (100,) * 3)
    noise = steps(plain, first_version(plain))[..., 0].astype("<i2")
    assert hashlib.sha256(noise.tobytes()).hexdigest() == FIRST_NOISE
    for picture in map(first_version, renders(10)):
        for change in (
            again("JPEG", 50),
            again("WEBP", 65),
            there_and_back(0.5),
            lambda each: each.crop((90, 70, 218, 198)),
        ):
            assert watermark.found(change(picture))


def test_same_picture_gets_the_same_mark_for_ever(marked: list[Image.Image]) -> None:
    assert [picture.tobytes() for picture in marked] == [watermark.embed(p).tobytes() for p in renders(30)]
    # Another noise would not be found by, nor find, pictures that were marked before.
    noise = watermark._noise().astype("<i4").tobytes()
    assert hashlib.sha256(noise).hexdigest() == "0c78dfa14230efa96f32825c6884194220182220ca7dfce3aab6795142ea3e90"
    # Nor would another profile give again the bytes that were given.
    gradient = np.add.outer(np.arange(300), 2 * np.arange(400)) % 256
    drawn = random.Random(0)
    speckled = gradient[..., None] + np.array([drawn.randrange(60) for _ in range(360_000)]).reshape(300, 400, 3)
    pixels = np.array(watermark.embed(Image.fromarray(np.minimum(speckled, 255).astype(np.uint8))))
    assert (
        hashlib.sha256(pixels.tobytes()).hexdigest()
        == "552758f855256a1d1b563db2e14a45c149a48663144c056f483b26435546b590"
    )


def test_threads_and_strips_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = renders(1)[0].resize((600, 500))
    expected = watermark.embed(picture).tobytes()
    before = cv2.getNumThreads()
    try:
        for threads in (1, 7):
            cv2.setNumThreads(threads)
            assert watermark.embed(picture).tobytes() == expected
    finally:
        cv2.setNumThreads(before)
    # What a strip is marked with depends on what lies in the strips above and below: it is seen there.
    light = visibility.lightness(picture)
    active = visibility.activity(light)
    strength = visibility.hidden(light, active, visibility.share(active))
    noise = np.tile(watermark._noise(), (10, 10))[:500, :600]
    scale = visibility.ONE << watermark.FRACTION
    laid = np.array(picture) + ((noise * strength + scale // 2) // scale)[..., None]
    assert np.clip(laid, 0, 255).astype(np.uint8).tobytes() == expected


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
        assert (np.array(marked)[~outside] != np.array(picture)[~outside]).mean() > 0.25
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


@pytest.mark.parametrize("size", [(256, 256), (1290, 1100)])
def test_where_it_was_laid_it_needs_no_luck(size: tuple[int, int]) -> None:
    marked = watermark.embed(renders(1)[0].resize(size))
    moved = Image.fromarray(np.roll(np.array(marked), (1, 1), (0, 1)))
    assert watermark.evidence(marked) - watermark.evidence(moved) == pytest.approx(math.log(64**2), abs=4)
