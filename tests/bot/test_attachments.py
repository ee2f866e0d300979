"""What members upload: good pictures come out bare and upright, bad files get a sentence."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import discord
import pytest
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from bot import attachments
from bot.attachments import decode
from bot.errors import MemberError
from inference.protocol import declared_source, xmp


def picture(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    """A picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", (width, height), "blue")
    ImageDraw.Draw(image).rectangle((0, 0, width // 2 - 1, height), fill="red")
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def refused(data: bytes) -> str:
    with pytest.raises(MemberError) as error:
        decode(data)
    return str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "HEIF"])
def test_every_format_comes_out_as_the_same_png(kind: str) -> None:
    upload = decode(saved(picture(), kind))
    image = opened(upload.png)
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (40, 30))
    assert (upload.width, upload.height, upload.frames) == (40, 30, 1)
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
        ("workflow", "{}", True),
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


def test_first_frame_of_an_animation_is_read_and_the_others_counted() -> None:
    frames = [picture(), Image.new("RGB", (40, 30), "green"), Image.new("RGB", (40, 30), "white")]
    upload = decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert upload.frames == 3
    assert opened(upload.png).getpixel((5, 15))[0] > 200


def test_five_hundred_frames_cost_no_more_than_a_hundred() -> None:
    frames = [Image.new("RGB", (16, 16), (n % 256, n // 2, 0)) for n in range(500)]
    upload = decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0))
    assert upload.frames == 100


@pytest.mark.parametrize("size", [(1, 1), (7, 40)])
def test_tiny_picture_is_refused(size: tuple[int, int]) -> None:
    assert "enlarge it" in refused(saved(Image.new("RGB", size), "PNG"))


def test_long_thin_picture_is_refused() -> None:
    assert refused(saved(Image.new("L", (20_000, 10)), "PNG")) == (
        "This picture has 20000x10 pixels, which is too long and thin: crop it."
    )


def test_decompression_bomb_is_refused_without_being_decoded() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )
    assert "million pixels are the most" in refused(bomb)


def test_bomb_in_a_text_chunk_is_refused() -> None:
    data = saved(picture(), "PNG")
    body = b"bomb\0\0" + zlib.compress(bytes(200 * 2**20))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    assert "damaged" in refused(data[:33] + chunk + data[33:])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_file_that_is_cut_short_is_refused(kind: str) -> None:
    data = saved(picture(300, 300), kind)
    assert "save it again" in refused(data[: len(data) * 2 // 3])


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert "no picture that can be read" in refused(data) or "damaged" in refused(data)


def test_other_formats_that_pillow_knows_are_refused() -> None:
    assert "PNG, JPEG, WebP, GIF" in refused(saved(picture(), "TIFF"))
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


def test_only_a_picture_counts_as_a_messages_picture() -> None:
    class Message:
        attachments = ()

    with pytest.raises(MemberError, match="no picture attached"):
        attachments.first_picture(Message())  # type: ignore[arg-type]


class Attachment:
    """As much of discord.Attachment as is read here."""

    def __init__(self, data: bytes | Exception, content_type: str | None = "image/png", size: int = 100) -> None:
        self._data, self.content_type, self.size, self.filename = data, content_type, size, "cat_*.png"

    async def read(self) -> bytes:
        if isinstance(self._data, Exception):
            raise self._data
        return self._data


async def read(attachment: Attachment) -> attachments.Upload:
    return await attachments.read(attachment)  # type: ignore[arg-type]


async def test_good_attachment_is_read() -> None:
    assert (await read(Attachment(saved(picture(), "PNG")))).width == 40


async def test_attachment_that_declares_no_type_is_judged_by_its_bytes() -> None:
    assert (await read(Attachment(saved(picture(), "WEBP"), content_type=None))).width == 40


async def test_attachment_that_declares_another_type_is_not_even_fetched() -> None:
    with pytest.raises(MemberError, match="is no picture"):
        await read(Attachment(AssertionError("fetched"), content_type="video/mp4"))


async def test_attachment_that_is_too_large_is_not_even_fetched() -> None:
    with pytest.raises(MemberError, match="50 is the most"):
        await read(Attachment(AssertionError("fetched"), size=51 * 2**20))


async def test_attachment_that_is_gone_is_told_so() -> None:
    class Response:
        status, reason = 404, "Not Found"

    with pytest.raises(MemberError, match="upload it again"):
        await read(Attachment(discord.NotFound(Response(), "gone")))  # type: ignore[arg-type]


async def test_attachment_that_cannot_be_fetched_is_told_so() -> None:
    with pytest.raises(MemberError, match="try again in a moment"):
        await read(Attachment(OSError("no route")))
