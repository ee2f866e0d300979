"""What members upload: good pictures come out bare and upright, bad files get a sentence."""

from __future__ import annotations

import io
import json
import random
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.WebPImagePlugin import WebPImageFile

from bot.errors import MemberError
from bot.pictures import decoding
from bot.pictures.containers import MAX_SCANS
from inference.protocol import declared_source, xmp
from tests.bot.uploads import chunk, decode, opened, picture, saved, with_chunk


def refused(data: bytes) -> str:
    with pytest.raises(MemberError) as error:
        decode(data)
    return str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "HEIF", "AVIF", "TIFF"])
def test_every_format_comes_out_as_the_same_png(kind: str) -> None:
    upload = decode(saved(picture(), kind))
    image = opened(upload.png)
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (40, 30))
    assert (upload.width, upload.height) == (40, 30)
    red, blue = image.getpixel((5, 15)), image.getpixel((35, 15))
    assert red[0] > 200 > 60 > red[2]
    assert blue[2] > 200 > 60 > blue[0]


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "RGB"])
def test_every_kind_of_pixel_is_read(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert opened(decode(saved(picture(mode=mode), kind)).png).mode == "RGB"


def test_sixteen_bit_greys_keep_their_brightness() -> None:
    image = Image.new("I;16", (16, 16), 32768)
    assert opened(decode(saved(image, "PNG")).png).getpixel((8, 8)) == pytest.approx((128, 128, 128), abs=1)


def test_transparency_stays_where_there_is_any() -> None:
    image = picture(mode="RGBA")
    image.putpixel((0, 0), (0, 0, 0, 0))
    assert opened(decode(saved(image, "PNG")).png).mode == "RGBA"
    assert opened(decode(saved(picture(mode="RGBA"), "PNG")).png).mode == "RGB"


def test_picture_is_turned_as_its_camera_was_and_its_exif_is_gone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise by a quarter
    exif[0x010F] = "Somebody's telephone"
    upload = decode(saved(picture(), "JPEG", exif=exif))
    assert (upload.width, upload.height) == (30, 40)
    image = opened(upload.png)
    assert image.getpixel((15, 5))[0] > 200
    assert not image.getexif()
    assert b"telephone" not in upload.png


def test_texts_of_the_upload_are_gone() -> None:
    info = PngInfo()
    info.add_text("parameters", "a secret prompt")
    assert b"secret" not in decode(saved(picture(), "PNG", pnginfo=info)).png


@pytest.mark.parametrize(("kind", "scheme"), [("PNG", "http"), ("PNG", "https"), ("JPEG", "http"), ("WEBP", "http")])
def test_of_an_upload_s_xmp_only_the_origin_is_kept(kind: str, scheme: str) -> None:
    packet = xmp("compositeSynthetic").replace("</x:xmpmeta>", "<secret/></x:xmpmeta>")
    packet = packet.replace("http://cv.", f"{scheme}://cv.")
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet)
    options = {"pnginfo": texts} if kind == "PNG" else {"xmp": packet.encode()}
    upload = decode(saved(picture(), kind, **options))
    assert opened(upload.png).info["xmp"].decode() == xmp("compositeSynthetic")


@pytest.mark.parametrize(
    ("keyword", "text", "told"),
    [
        ("parameters", "a secret prompt\nSteps: 20, Sampler: Euler", True),
        ("workflow", '{"nodes": [{"id": 1, "type": "KSampler"}], "links": []}', True),
        ("workflow", "{}", False),
        ("workflow", "a day's work", False),
        ("prompt", "a red house", False),
        ("parameters", "f/2.8, 1/100 s", False),
        ("Comment", "a secret", False),
    ],
)
def test_recipe_of_a_tool_tells_that_a_model_made_the_picture(keyword: str, text: str, told: bool) -> None:
    texts = PngInfo()
    texts.add_text(keyword, text)
    png = decode(saved(picture(), "PNG", pnginfo=texts)).png
    assert b"secret" not in png
    assert (declared_source(png) == "trainedAlgorithmicMedia") is told


def test_photograph_says_nothing_of_a_model() -> None:
    assert set(opened(decode(saved(picture(), "JPEG", quality=90)).png).info) == set()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation_is_read_and_no_other_is_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seek(*_: object) -> None:
        raise AssertionError("another frame was asked for")

    frames = [picture(), Image.new("RGB", (40, 30), "green"), Image.new("RGB", (40, 30), "white")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    for plugin in (GifImageFile, WebPImageFile, PngImageFile):
        monkeypatch.setattr(plugin, "seek", seek)
    assert opened(decode(data).png).getpixel((5, 15))[0] > 200


@pytest.mark.parametrize("size", [(1, 1), (7, 40)])
def test_tiny_picture_is_refused(size: tuple[int, int]) -> None:
    assert "enlarge it" in refused(saved(Image.new("RGB", size), "PNG"))


def test_long_thin_picture_is_refused() -> None:
    assert refused(saved(Image.new("L", (20_000, 10)), "PNG")) == (
        "This picture has 20000x10 pixels, which is too long and thin: crop it."
    )


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is so large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def gif_of(width: int, height: int, *, screen: tuple[int, int] = (10, 10), disposal: int = 0) -> bytes:
    """A GIF of a few bytes whose only frame says it is so large."""
    control = b"\x21\xf9\x04" + bytes([disposal << 2, 0, 0, 0, 0])
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6) + control + frame + b"\x3b"


def webp_of(width: int, height: int) -> bytes:
    """A WebP that says it is so large."""
    data = bytearray(saved(picture(), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"))
    assert data[12:16] == b"VP8X"
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


@pytest.mark.parametrize(
    "bomb",
    [
        png_of(60_000, 60_000),
        png_of(2**31 - 1, 2**31 - 1),
        gif_of(65_535, 65_535),
        gif_of(8, 8, screen=(65_535, 65_535), disposal=2),
        gif_of(8, 8, screen=(10_000, 8_000)),
        gif_of(7_000, 7_000),
        webp_of(16_383, 16_383),
        saved(picture(), "BMP")[:18] + struct.pack("<ii", 50_000, 50_000) + saved(picture(), "BMP")[26:],
    ],
)
def test_decompression_bomb_is_refused_without_being_decoded(bomb: bytes) -> None:
    before = Image.MAX_IMAGE_PIXELS
    assert "36 million" in refused(bomb)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_bomb_in_a_chunk_that_no_pixel_needs_is_passed_over(kind: bytes) -> None:
    packed = zlib.compress(bytes(50 * 2**20))
    bomb = chunk(kind, b"bomb\0" + {b"zTXt": b"\0", b"iTXt": b"\1\0\0\0", b"iCCP": b"\0"}[kind] + packed)
    assert decode(with_chunk(saved(picture(), "PNG"), bomb)).width == 40


@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"gAMA", b"eXIf", b"tRNS"])
def test_wrong_checksum_of_a_chunk_that_no_pixel_needs_is_passed_over(kind: bytes) -> None:
    assert decode(with_chunk(saved(picture(), "PNG"), chunk(kind, b"a\0bcdef", crc=1))).width == 40


def test_wrong_checksum_of_the_pixels_is_refused() -> None:
    data = bytearray(saved(picture(), "PNG"))
    data[data.index(b"IDAT") + 8] ^= 0xFF
    assert "save it again" in refused(bytes(data))


def test_texts_and_profiles_of_any_length_are_passed_over() -> None:
    info = PngInfo()
    info.add_text("workflow", json.dumps({"nodes": [{"type": "Note", "text": "x" * 3 * 2**20}]}), zip=True)
    profile = random.Random(0).randbytes(2 * 2**20)
    png = decode(saved(picture(), "PNG", pnginfo=info, icc_profile=profile)).png
    assert declared_source(png) == "trainedAlgorithmicMedia"


def progressive(scans: int, width: int = 300, height: int = 300) -> bytes:
    """A progressive JPEG whose last scan comes so often."""
    data = saved(Image.effect_noise((width, height), 50).convert("RGB"), "JPEG", progressive=True, quality=90)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def test_jpeg_that_is_drawn_again_and_again_is_refused_without_being_decoded() -> None:
    assert decode(progressive(1)).width == 300
    assert f"more than {MAX_SCANS} passes" in refused(progressive(MAX_SCANS + 1))


def test_film_behind_a_progressive_photograph_counts_as_no_pass() -> None:
    assert decode(progressive(1) + b"\xff\xda\0\x08film" * 1000).width == 300


@pytest.mark.parametrize(
    "error", [RuntimeError, TypeError, AttributeError, OverflowError, struct.error, RecursionError]
)
def test_whatever_a_library_raises_on_a_file_is_the_sentence_of_that_case(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise error("a library's own words")

    monkeypatch.setattr(Image.Image, "getexif", stumble)
    assert refused(saved(picture(), "JPEG")) == "This picture is damaged or cut short: save it again and upload that."


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "TIFF"])
def test_file_that_is_cut_short_is_refused(kind: str) -> None:
    data = saved(picture(300, 300), kind)
    assert "save it again" in refused(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "restart_marker_rows": 1}])
@pytest.mark.parametrize("rest", [b"", b"\xff", bytes(1000)])
def test_jpeg_that_lacks_its_end_alone_is_read_whole(options: dict[str, object], rest: bytes) -> None:
    data = saved(noise(), "JPEG", **options)
    assert decode(data[:-2] + rest).png == decode(data).png


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("missing", [*range(8, 60, 9), 10_000])
def test_jpeg_that_lacks_pixels_is_refused_however_few(options: dict[str, object], missing: int) -> None:
    data = saved(noise(), "JPEG", **options)
    for rest in (b"", bytes(1000)):
        assert "damaged or cut short" in refused(data[:-missing] + rest)


def noise() -> Image.Image:
    """A picture that is something everywhere."""
    return Image.frombytes("RGB", (160, 120), random.Random(0).randbytes(160 * 120 * 3))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_of_32_bits_are_refused_in_words(mode: str) -> None:
    assert "save it with 8 or 16 bits" in refused(saved(Image.new(mode, (16, 16), 1), "TIFF"))


@pytest.mark.parametrize("order", ["I;16", "I;16B"])
def test_sixteen_bit_greys_of_tiff_keep_their_brightness(order: str) -> None:
    greys = Image.frombytes(order, (16, 16), (b"\x00\x80" if order == "I;16" else b"\x80\x00") * 256)
    assert opened(decode(saved(greys, "TIFF")).png).getpixel((8, 8)) == (128, 128, 128)


def test_first_page_of_a_tiff_is_read() -> None:
    data = saved(picture(), "TIFF", save_all=True, append_images=[Image.new("RGB", (90, 90), "green")])
    assert (decode(data).width, decode(data).height) == (40, 30)


def test_tiff_that_says_it_is_large_is_refused_without_being_decoded() -> None:
    data = saved(Image.new("L", (64, 64)), "TIFF", compression="tiff_lzw")
    for side in (256, 257):  # as numbers of 16 bits
        place = data.index(struct.pack("<HH", side, 3)) + 8
        data = data[:place] + struct.pack("<H", 60_000) + data[place + 2 :]
    assert "36 million" in refused(data)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert "no picture that can be read" in refused(data) or "damaged" in refused(data)


def test_other_formats_that_pillow_knows_are_refused() -> None:
    assert "PNG, JPEG, WebP, GIF" in refused(saved(picture(), "TGA"))
    assert "PNG, JPEG, WebP, GIF" in refused(saved(picture(), "PPM"))


def test_picture_that_is_an_archive_too_is_refused() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("run.me", "x")
    for kind in ("PNG", "JPEG"):
        assert "an archive at once" in refused(saved(picture(), kind) + archive.getvalue())


def test_picture_that_is_a_pdf_too_is_refused() -> None:
    data = saved(picture(), "BMP")
    assert "a PDF at once" in refused(data[:60] + b"%PDF-1.7" + data[60:])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_picture_with_something_behind_it_is_refused(kind: str) -> None:
    assert "more than its picture" in refused(saved(picture(), kind) + b"<script>alert(1)</script>")
    decode(saved(picture(), kind) + b"\0\n")


def test_film_behind_a_telephones_photograph_does_no_harm() -> None:
    upload = decode(saved(picture(), "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(500))
    assert b"ftyp" not in upload.png


def texts(data: bytes, *keywords: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "upload")
        file.write_bytes(data)
        return decoding.texts(file, keywords)


@pytest.mark.parametrize("how", ["tEXt", "zTXt", "iTXt", "packed iTXt"])
def test_texts_are_read_however_they_are_written(how: str) -> None:
    info = PngInfo()
    if "iTXt" in how:
        info.add_itxt("parameters", "ein Häuschen 画", zip="packed" in how)
    else:
        info.add_text("parameters", "ein Häuschen", zip=how == "zTXt")
    info.add_text("other", "text")
    found = texts(saved(picture(), "PNG", pnginfo=info), "parameters", "prompt")
    assert found == {"parameters": "ein Häuschen 画" if "iTXt" in how else "ein Häuschen"}


def test_text_that_cannot_be_read_is_passed_over() -> None:
    data = saved(picture(), "PNG")
    for body in (b"parameters\0\0not packed", b"parameters\0\0" + zlib.compress(bytes(50 * 2**20)), b"parameters"):
        assert texts(with_chunk(data, chunk(b"zTXt", body)), "parameters") in ({}, {"parameters": ""})


def test_comment_of_a_photograph_is_its_recipe() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a red house\nSteps: 8".encode("utf-16-be")
    assert texts(saved(picture(), "JPEG", exif=exif), "parameters") == {"parameters": "a red house\nSteps: 8"}


def test_texts_are_read_of_pictures_of_any_size(tmp_path: Path) -> None:
    large = png_of(12_000, 11_000)
    file = tmp_path / "large.png"
    file.write_bytes(with_chunk(large, chunk(b"tEXt", b"parameters\0a house")))
    assert decoding.texts(file, ("parameters",)) == {"parameters": "a house"}
    assert "36 million" in refused(large)
