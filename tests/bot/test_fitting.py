"""Pictures that are too large for Discord go out as well as they can, and whole on demand."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.fitting import fit, parts
from inference.protocol import xmp


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """What compresses worst."""
    rng = random.Random(width * height)
    return Image.frombytes(mode, (width, height), rng.randbytes(width * height * len(mode)))


def png(picture: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="PNG", **options)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def test_what_fits_goes_out_as_it_is() -> None:
    data = png(noise(32, 32))
    shown = fit(data, len(data))
    assert (shown.data, shown.suffix, shown.note) == (data, "png", "")


def test_what_does_not_fit_goes_out_as_webp_of_the_same_size_and_says_so() -> None:
    data = png(noise(200, 100))
    shown = fit(data, len(data) // 2)
    assert len(shown.data) <= len(data) // 2
    assert (shown.suffix, opened(shown.data).format, opened(shown.data).size) == ("webp", "WEBP", (200, 100))
    assert shown.note == "shown as WebP: the original, 0.1 MB, is too large for Discord here"


def test_best_quality_that_fits_is_taken() -> None:
    data = png(noise(200, 200))
    sizes = [len(fit(data, limit).data) for limit in (len(data) // 2, len(data) // 4, len(data) // 6)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


@pytest.mark.parametrize("limit", [6000, 1000, 300])
def test_what_fits_at_no_quality_goes_out_smaller(limit: int) -> None:
    shown = fit(png(noise(300, 150)), limit)
    small = opened(shown.data)
    assert len(shown.data) <= limit
    assert small.width < 300
    assert f"and {small.width}x{small.height}" in shown.note


@pytest.mark.parametrize("share", [1, 2, 40])
@pytest.mark.parametrize("size", [(200, 100), (17_000, 8)])
def test_every_file_says_where_the_picture_comes_from(share: int, size: tuple[int, int]) -> None:
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", xmp("trainedAlgorithmicMedia"))
    data = png(noise(*size), pnginfo=texts)
    for shown in (fit(data, len(data) // share), *parts(data, len(data) // share)):
        found = opened(shown.data).getxmp()
        assert found["xmpmeta"]["RDF"]["Description"]["DigitalSourceType"] == (
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        )
    assert not opened(fit(png(noise(*size)), 30_000).data).getxmp()


def test_transparency_is_kept() -> None:
    data = png(noise(100, 100, "RGBA"))
    assert opened(fit(data, len(data) // 2).data).mode == "RGBA"


def test_picture_too_long_for_webp_goes_out_as_jpeg() -> None:
    data = png(noise(17_000, 8))
    shown = fit(data, len(data) * 2 // 3)
    assert (shown.suffix, opened(shown.data).size) == ("jpg", (17_000, 8))


def test_original_comes_whole_where_it_fits() -> None:
    data = png(noise(32, 32))
    assert [part.data for part in parts(data, len(data))] == [data]


def test_original_comes_as_lossless_webp_where_that_fits() -> None:
    picture = Image.linear_gradient("L").resize((500, 500)).convert("RGB")
    data = png(picture)
    [part] = parts(data, len(data) * 3 // 4)
    assert part.suffix == "webp"
    assert opened(part.data).convert("RGB").tobytes() == picture.tobytes()


def test_original_comes_in_tiles_that_make_it_up_again() -> None:
    picture = noise(130, 90)
    data = png(picture)
    tiles = parts(data, len(data) // 3)
    assert max(len(tile.data) for tile in tiles) <= len(data) // 3
    across = round(len(tiles) ** 0.5)
    whole = Image.new("RGB", picture.size)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        assert tile.note == f"row {row + 1}, column {column + 1}"
        whole.paste(opened(tile.data), (130 * column // across, 90 * row // across))
    assert whole.tobytes() == picture.tobytes()
