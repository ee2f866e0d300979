"""Pictures that members upload: checked before they are decoded, then turned upright and stripped to bare pixels.

Only Discord's attachments are read, never a link. What leaves here is a PNG of ours: no EXIF, no second file hidden
behind the picture, nothing that a decoder further on could stumble over. One thing of the file is kept, in words of
ours: whether it says that a model made the picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import discord
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from bot.errors import MemberError
from inference.protocol import XMP_KEYWORD, SourceType, declared_source, xmp

MAX_BYTES = 50 * 2**20
MAX_PIXELS = 36_000_000
MIN_SIDE, MAX_SIDE = 8, 16_384
MAX_RATIO = 32
"""The longest side may be this many times the shortest: no model sees anything in a thinner strip."""

FORMATS = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WebP", "GIF": "GIF", "BMP": "BMP"}
"""What Pillow calls each format that is read, and what members call it."""

RECIPE_KEYWORDS = frozenset({"easel", "workflow", "invokeai_metadata", "sd-metadata"})
"""Under which Easel, ComfyUI and InvokeAI leave their recipes, beside the `parameters` of all others."""

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, MemoryError)
"""Pillow's decoders raise whatever their format's reading comes to."""

DAMAGED = "This picture is damaged or cut short: save it again and upload that."

with contextlib.suppress(ImportError):  # an optional library: without it, HEIC is refused in a sentence
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]

    pillow_heif.register_heif_opener()
    FORMATS["HEIF"] = "HEIC"


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that was read: a PNG, RGB or with transparency RGBA, upright; with XMP where the origin is known."""

    png: bytes
    width: int
    height: int
    frames: int = 1
    """How many pictures the upload held; of more than one, this is the first."""


def first_picture(message: discord.Message) -> discord.Attachment:
    """The first attachment of a message that says it is a picture. Raises MemberError where there is none."""
    for attachment in message.attachments:
        if (attachment.content_type or "").startswith("image/"):
            return attachment
    raise MemberError("This message has no picture attached: links and stickers are not read.")


async def read(attachment: discord.Attachment) -> Upload:
    """Fetch an attachment and read its picture. Takes seconds; raises MemberError with what is wrong with it."""
    return await asyncio.to_thread(decode, await fetch(attachment))


async def fetch(attachment: discord.Attachment) -> bytes:
    """The bytes of an attachment that says it is a picture, as uploaded. Raises MemberError."""
    declared = (attachment.content_type or "").partition(";")[0]
    if declared and not declared.startswith("image/"):
        raise MemberError(f"{_named(attachment)} is no picture: upload one as {_choices()}.")
    if attachment.size > MAX_BYTES:
        raise MemberError(
            f"{_named(attachment)} has {attachment.size / 2**20:.0f} MiB and {MAX_BYTES // 2**20} is the most:"
            " make it smaller."
        )
    try:
        return await attachment.read()
    except (discord.NotFound, discord.Forbidden) as error:
        raise MemberError(f"{_named(attachment)} is gone from Discord: upload it again.") from error
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        raise MemberError(f"{_named(attachment)} could not be fetched from Discord: try again in a moment.") from error


def texts(data: bytes) -> dict[str, str]:
    """What tools have written into a picture's file: PNG's texts by keyword, and EXIF's user comment, where JPEG and
    WebP carry what a PNG has under `parameters`. Raises MemberError where it is no picture."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as picture:
            # Texts may stand behind the pixels, which are then decoded to get there.
            _check_size(*picture.size)
            return _texts(picture)
    except UNREADABLE as error:
        raise MemberError(DAMAGED) from error


def _texts(picture: Image.Image) -> dict[str, str]:
    kept = getattr(picture, "text", None) or picture.info
    found = {str(key): str(value) for key, value in kept.items() if isinstance(value, str)}
    comment = picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        # Its byte order is nowhere written down; the tools that write recipes there use the big end first.
        found.setdefault("parameters", comment[8:].decode("utf-16-be", errors="replace"))
    return found


def decode(data: bytes) -> Upload:
    """Read the picture in these bytes. Raises MemberError with what is wrong with it."""
    _refuse_two_in_one(data)
    try:
        with warnings.catch_warnings():
            # Sizes are checked below, for every format alike.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as picture:
                _check_size(*picture.size)
                frames = int(getattr(picture, "is_animated", False)) and _frames(picture)
                picture.seek(0)
                picture.load()
                source = declared_source(data) or _source_by_recipe(_texts(picture))
                upright = ImageOps.exif_transpose(picture)
                bare = _bare(upright)
    except Image.DecompressionBombError as error:
        raise MemberError(_too_many_pixels()) from error
    except UnidentifiedImageError as error:
        raise MemberError(f"This file holds no picture that can be read: upload it as {_choices()}.") from error
    except UNREADABLE as error:
        raise MemberError(DAMAGED) from error
    stream = io.BytesIO()
    kept = PngInfo()
    if source is not None:
        kept.add_itxt(XMP_KEYWORD, xmp(source))
    bare.save(stream, format="PNG", compress_level=1, pnginfo=kept)
    return Upload(stream.getvalue(), bare.width, bare.height, max(1, frames))


def _source_by_recipe(texts: Mapping[str, str]) -> SourceType | None:
    """What a tool's recipe in a file comes to, where the file does not say it plainly."""
    # Comments of cameras stand in the same place as recipes.
    told = "Steps: " in texts.get("parameters", "") or not RECIPE_KEYWORDS.isdisjoint(texts)
    return "trainedAlgorithmicMedia" if told else None


def _refuse_two_in_one(data: bytes) -> None:
    """A file that is a picture and an archive, a document or a page at once is somebody's trick."""
    if b"%PDF-" in data[:1024]:
        raise MemberError("This file is a picture and a PDF at once: save the picture again and upload that.")
    if zipfile.is_zipfile(io.BytesIO(data)):
        raise MemberError("This file is a picture and an archive at once: save the picture again and upload that.")
    end = _end_of_picture(data)
    if end is not None and data[end:].strip(b"\0\r\n \t"):
        raise MemberError("This file holds more than its picture: save the picture again and upload that.")


def _end_of_picture(data: bytes) -> int | None:
    """Where the picture ends, for formats that say it; None where it is not known.

    Not for JPEG: telephones append films and depth maps to theirs, and mean no harm.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        place = 8
        while place + 12 <= len(data):
            last = data[place + 4 : place + 8] == b"IEND"
            place += 12 + int.from_bytes(data[place : place + 4], "big")
            if last:
                return place
        return None
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = int.from_bytes(data[4:8], "little")
        return 8 + size + size % 2
    return None


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise MemberError(f"This picture has {width}x{height} pixels and {MIN_SIDE} a side is the least: enlarge it.")
    if width * height > MAX_PIXELS:
        raise MemberError(_too_many_pixels(f"This picture has {width}x{height} pixels"))
    if max(width, height) > min(MAX_SIDE, MAX_RATIO * min(width, height)):
        raise MemberError(f"This picture has {width}x{height} pixels, which is too long and thin: crop it.")


def _too_many_pixels(what: str = "This picture is larger than it says") -> str:
    return f"{what}: {MAX_PIXELS // 1_000_000} million pixels are the most, so make it smaller."


def _frames(picture: Image.Image) -> int:
    # Counting a GIF's frames means reading through all of it, so long ones are not counted to the end.
    count = 1
    with contextlib.suppress(EOFError):
        while count < 100:
            picture.seek(count)
            count += 1
    return count


def _bare(picture: Image.Image) -> Image.Image:
    """The pixels alone, RGB, or RGBA where some are transparent."""
    if picture.mode in ("I", "I;16", "I;16B", "F"):
        # Sixteen bits a pixel: Pillow would cut them off at 255 instead of scaling them.
        picture = picture.point(lambda value: value / 256).convert("L")
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    bare = picture.convert("RGBA" if transparent else "RGB")
    if transparent and bare.getchannel("A").getextrema() == (255, 255):
        bare = bare.convert("RGB")
    bare.info = {}
    return bare


def _named(attachment: discord.Attachment) -> str:
    return discord.utils.escape_mentions(discord.utils.escape_markdown(attachment.filename[:80]))


def _choices() -> str:
    *first, last = FORMATS.values()
    return f"{', '.join(first)} or {last}"
