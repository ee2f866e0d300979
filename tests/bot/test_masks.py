"""Masks from pictures, from transparency and from new room at the sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bot.errors import MemberError
from bot.pictures import masks
from bot.pictures.decoding import Upload, saved

Make = Callable[[Image.Image], Upload]
Read = Callable[[Upload], np.ndarray]


@pytest.fixture
def upload(tmp_path: Path) -> Make:
    return lambda picture: saved(picture, tmp_path)


@pytest.fixture
def pixels(tmp_path: Path) -> Read:
    def read(made: Upload) -> np.ndarray:
        picture = Image.open(tmp_path / made.file)
        picture.load()
        assert picture.size == (made.width, made.height)
        return np.asarray(picture)

    return read


def noisy(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_white_of_a_mask_is_painted_at_the_pictures_size(tmp_path: Path, upload: Make, pixels: Read) -> None:
    mask = Image.new("RGB", (20, 10), "black")
    mask.paste("white", (0, 0, 10, 10))
    made = pixels(masks.of_picture(tmp_path, upload(mask), upload(noisy(40, 20))))
    assert made.shape == (20, 40)
    assert set(np.unique(made)) == {0, 255}
    assert made[:, :18].all()
    assert not made[:, 22:].any()


def test_what_is_transparent_is_painted(tmp_path: Path, upload: Make, pixels: Read) -> None:
    picture = noisy(30, 20).convert("RGBA")
    picture.paste((9, 9, 9, 0), (5, 5, 15, 15))
    made = masks.of_transparency(tmp_path, upload(picture))
    assert made is not None
    assert pixels(made).sum() == 255 * 100
    assert np.array_equal(pixels(masks.of_picture(tmp_path, upload(picture), upload(noisy(30, 20)))), pixels(made))
    assert masks.of_transparency(tmp_path, upload(noisy(8, 8))) is None
    assert masks.of_transparency(tmp_path, upload(noisy(8, 8).convert("RGBA"))) is None


STROKES = (slice(40, 90), slice(20, 120))
"""Rows and columns of what is drawn: 5,000 of 40,000 pixels."""


def layer(colour: str | None, ground: str | tuple[int, int, int, int] = (0, 0, 0, 0)) -> Image.Image:
    """A layer of 200x200 on which something is drawn in this colour, or erased."""
    rows, columns = STROKES
    made = Image.new("RGBA", (200, 200), ground)
    made.paste(colour or (90, 90, 90, 0), (columns.start, rows.start, columns.stop, rows.stop))
    return made


def soft(made: Image.Image, most: int) -> Image.Image:
    """The same drawn with a faint brush with soft edges."""
    opacity = made.getchannel("A").filter(ImageFilter.GaussianBlur(3)).point(lambda alpha: alpha * most // 255)
    blurred = made.filter(ImageFilter.GaussianBlur(1))
    blurred.putalpha(opacity)
    return blurred


def photograph(hole: bool) -> Image.Image:
    made = Image.fromarray(np.asarray(noisy(200, 200))).convert("RGBA")
    if hole:
        made.paste((0, 0, 0, 0), (STROKES[1].start, STROKES[0].start, STROKES[1].stop, STROKES[0].stop))
    return made


BORDERED = layer("white", "black")
BORDERED.paste((0, 0, 0, 0), (0, 150, 200, 200))
GREY_PHOTOGRAPH = photograph(hole=True).convert("LA").convert("RGBA")


@pytest.mark.parametrize(
    "mask",
    [
        layer("white"),
        layer("black"),
        layer("red"),
        layer("#28a0ff"),
        layer("white", (255, 255, 255, 0)),
        soft(layer("white"), 255),
        soft(layer("white"), 100),
        layer("white", "black"),
        layer("white", "black").convert("RGB"),
        layer("white", "black").convert("L"),
        BORDERED,
        photograph(hole=True),
        GREY_PHOTOGRAPH,
    ],
)
def test_what_a_program_marks_in_its_way_is_painted(
    mask: Image.Image, tmp_path: Path, upload: Make, pixels: Read
) -> None:
    marked = pixels(masks.of_picture(tmp_path, upload(mask), upload(noisy(200, 200)))) > 0
    assert marked[STROKES].mean() > 0.9
    marked[STROKES] = False
    assert marked.mean() < 0.01


@pytest.mark.parametrize("mask", [Image.new("RGBA", (64, 64)), Image.new("L", (64, 64)), Image.new("RGB", (64, 64))])
def test_mask_on_which_nothing_is_drawn_is_refused(mask: Image.Image, tmp_path: Path, upload: Make) -> None:
    with pytest.raises(MemberError, match="marks nothing"):
        masks.of_picture(tmp_path, upload(mask), upload(noisy(64, 64)))


@pytest.mark.parametrize(
    ("side", "size", "inside"),
    [
        ("left", (60, 20), (20, 0)),
        ("right", (60, 20), (0, 0)),
        ("up", (40, 30), (0, 10)),
        ("down", (40, 30), (0, 0)),
        ("all", (80, 40), (20, 10)),
    ],
)
def test_room_at_a_side_keeps_the_picture_and_is_marked(
    side: str, size: tuple[int, int], inside: tuple[int, int], tmp_path: Path, upload: Make, pixels: Read
) -> None:
    picture = noisy(40, 20)
    made, mask = masks.extended(tmp_path, upload(picture), side)
    assert (made.width, made.height) == size
    left, top = inside
    old = (slice(top, top + 20), slice(left, left + 40))
    assert np.array_equal(pixels(made)[old], np.asarray(picture))
    assert not pixels(mask)[old].any()
    assert (pixels(mask) == 255).sum() == size[0] * size[1] - 800


def test_the_edge_goes_on_into_the_new_room(tmp_path: Path, upload: Make, pixels: Read) -> None:
    made, _ = masks.extended(tmp_path, upload(Image.new("RGB", (40, 20), "teal")), "all")
    assert len(np.unique(pixels(made).reshape(-1, 3), axis=0)) == 1


def test_too_much_room_is_refused(tmp_path: Path, upload: Make) -> None:
    with pytest.raises(MemberError, match="would be too large"):
        masks.extended(tmp_path, upload(Image.new("RGB", (5000, 3000))), "all")


def test_what_the_member_gave_says_which_part_is_meant(tmp_path: Path, upload: Make, pixels: Read) -> None:
    picture = upload(noisy(40, 20))
    white = upload(Image.new("L", (40, 20), 255))
    assert masks.prepare(tmp_path, picture, None, "left")["mask"].width == 60
    assert pixels(masks.prepare(tmp_path, picture, white, None)["mask"]).all()
    with pytest.raises(MemberError, match="Say which part is meant"):
        masks.prepare(tmp_path, picture, None, None)


def test_who_is_told_what_to_do_need_not_be_told_where(tmp_path: Path, upload: Make) -> None:
    whole, hole = upload(noisy(30, 20)), noisy(30, 20).convert("RGBA")
    with pytest.raises(MemberError, match="Say which part is meant"):
        masks.prepare(tmp_path, whole, None, None)
    assert masks.prepare(tmp_path, whole, None, None, False) == {"image": whole}
    hole.paste((9, 9, 9, 0), (5, 5, 15, 15))
    assert set(masks.prepare(tmp_path, upload(hole), None, None, False)) == {"image", "mask"}
