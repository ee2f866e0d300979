"""Pictures that are too large for Discord go out as well as they can, and whole on demand."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sd_parsers import ParserManager

from bot.pictures import decoding
from bot.pictures.fitting import SMALL_SIDE, _opened, fit, parts, small, whole
from bot.words import why
from inference.protocol import xmp

Keep = Callable[..., Path]


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """What compresses worst."""
    rng = random.Random(width * height)
    return Image.frombytes(mode, (width, height), rng.randbytes(width * height * len(mode)))


@pytest.fixture
def png(tmp_path: Path) -> Keep:
    """Keeps a picture as PNG, outside of the folder in which files are made of it."""

    def keep(picture: Image.Image, **options: object) -> Path:
        file = tmp_path / "original.png"
        picture.save(file, **options)
        return file

    return keep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return made


def opened(file: Path) -> Image.Image:
    picture = Image.open(file)
    picture.load()
    return picture


def size(file: Path) -> int:
    return file.stat().st_size


def test_what_fits_goes_out_as_it_is(png: Keep) -> None:
    file = png(noise(32, 32))
    shown = whole(file, size(file))
    assert shown is not None
    assert (shown.file, shown.suffix, shown.note) == (file, "png", None)
    assert whole(file, size(file) - 1) is None


def test_what_does_not_fit_goes_out_as_webp_of_the_same_size_and_says_so(png: Keep, folder: Path) -> None:
    file = png(noise(200, 100))
    shown = fit(file, size(file) // 2, folder)
    assert size(shown.file) <= size(file) // 2
    assert (shown.suffix, opened(shown.file).format, opened(shown.file).size) == ("webp", "WEBP", (200, 100))
    assert shown.note is not None
    assert why(shown.note) == "shown as WebP: the original, 0.1 MB, is too large for Discord here"


def test_best_quality_that_fits_is_taken(png: Keep, folder: Path) -> None:
    file = png(noise(200, 200))
    sizes = [size(fit(file, size(file) // share, folder).file) for share in (2, 4, 6)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


@pytest.mark.parametrize("limit", [6000, 1000, 300])
def test_what_fits_at_no_quality_goes_out_smaller(limit: int, png: Keep, folder: Path) -> None:
    shown = fit(png(noise(300, 150)), limit, folder)
    small = opened(shown.file)
    assert size(shown.file) <= limit
    assert small.width < 300
    assert shown.note is not None
    assert f"and {small.width}x{small.height}" in why(shown.note)
    assert list(folder.iterdir()) == [shown.file], "what did not fit is gone"


@pytest.mark.parametrize("share", [2, 40])
@pytest.mark.parametrize("shape", [(200, 100), (17_000, 8)])
def test_every_file_says_where_the_picture_comes_from(
    share: int, shape: tuple[int, int], png: Keep, folder: Path
) -> None:
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", xmp("trainedAlgorithmicMedia"))
    file = png(noise(*shape), pnginfo=texts)
    limit = size(file) // share
    for shown in (fit(file, limit, folder), *parts(file, limit, folder)):
        found = opened(shown.file).getxmp()
        assert found["xmpmeta"]["RDF"]["Description"]["DigitalSourceType"] == (
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        )
    assert not opened(fit(png(noise(*shape)), 30_000, folder).file).getxmp()


def test_transparency_is_kept(png: Keep, folder: Path) -> None:
    file = png(noise(100, 100, "RGBA"))
    assert opened(fit(file, size(file) // 2, folder).file).mode == "RGBA"


def test_picture_too_long_for_webp_goes_out_as_jpeg(png: Keep, folder: Path) -> None:
    file = png(noise(17_000, 8))
    shown = fit(file, size(file) * 2 // 3, folder)
    assert (shown.suffix, opened(shown.file).size) == ("jpg", (17_000, 8))


def test_original_comes_as_lossless_webp_where_that_fits(png: Keep, folder: Path) -> None:
    picture = Image.linear_gradient("L").resize((500, 500)).convert("RGB")
    file = png(picture)
    [part] = parts(file, size(file) * 3 // 4, folder)
    assert part.suffix == "webp"
    assert opened(part.file).convert("RGB").tobytes() == picture.tobytes()


def test_original_comes_in_tiles_that_make_it_up_again(png: Keep, folder: Path) -> None:
    picture = noise(130, 90)
    file = png(picture)
    tiles = parts(file, size(file) // 3, folder)
    # What zlib writes of its lowest level.
    assert all(b"IDAT\x78\x01" in tile.file.read_bytes() for tile in tiles)
    assert max(size(tile.file) for tile in tiles) <= size(file) // 3
    assert set(folder.iterdir()) == {tile.file for tile in tiles}
    across = round(len(tiles) ** 0.5)
    again = Image.new("RGB", picture.size)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        again.paste(opened(tile.file), (130 * column // across, 90 * row // across))
    assert again.tobytes() == picture.tobytes()


def test_large_result_is_opened_with_pillows_limit_as_it_is(png: Keep) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with _opened(png(Image.new("1", (10_000, 9_000)))) as picture:  # more than Pillow takes without a warning
        assert picture.size == (10_000, 9_000)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(("side", "suffix"), [((256, 256), "webp"), ((16_400, 8), "jpg")])
def test_recipe_goes_with_what_is_shown_instead(png: Keep, folder: Path, side: tuple[int, int], suffix: str) -> None:
    texts = PngInfo()
    texts.add_itxt("parameters", RECIPE)
    original = png(noise(*side), pnginfo=texts)
    shown = fit(original, size(original) // 2, folder)
    assert shown.suffix == suffix
    assert decoding.texts(shown.file, ("parameters", "easel")) == {"parameters": RECIPE}
    read = ParserManager().parse(shown.file)
    assert read is not None
    assert [str(prompt) for prompt in read.samplers[0].prompts] == [RECIPE.partition("\n")[0]]
    for part in parts(original, size(original) // 2, folder):
        assert decoding.texts(part.file, ("parameters",)) == {"parameters": RECIPE}


def test_recipe_that_fits_no_file_keeps_no_picture_back(png: Keep, folder: Path) -> None:
    texts = PngInfo()
    texts.add_itxt("parameters", "x" * 70_000)
    original = png(noise(16_400, 8), pnginfo=texts)
    assert fit(original, size(original) // 4, folder).suffix == "jpg"


RECIPE = "a 红色 house 🏠 by (night:1.2)\nSteps: 8, Sampler: Euler, Seed: 7"


@pytest.mark.parametrize("size", [(1000, 500), (8, 8), (3000, 8)])
def test_thumbnail_is_small_and_says_where_it_comes_from_but_not_how_it_was_made(
    png: Keep, folder: Path, size: tuple[int, int]
) -> None:
    info = PngInfo()
    info.add_text("parameters", "x" * 50_000)
    info.add_itxt("XML:com.adobe.xmp", xmp("trainedAlgorithmicMedia"))
    made = small(png(noise(*size), pnginfo=info), folder)
    with Image.open(made) as opened:
        assert opened.format == "WEBP"
        assert max(opened.size) == min(SMALL_SIDE, max(size))
        assert b"trainedAlgorithmicMedia" in opened.info["xmp"]
        assert not opened.getexif()
    assert made.stat().st_size < 60_000
