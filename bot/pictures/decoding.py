"""Pictures that members upload, read: checked before they are decoded, turned upright, stripped to bare pixels.

Runs in the child processes of `workers`, on files. What is left of a picture is a PNG of ours: no EXIF, no second
file hidden behind the picture, nothing that a decoder further on could stumble over. One thing of the file is kept, in
words of ours: whether it says that a model made the picture.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from bot.errors import MemberError
from bot.pictures import containers
from bot.words import N_
from inference.protocol import XMP_KEYWORD, SourceType, because, declared_source, leave, xmp

MAX_PIXELS = 36_000_000
MIN_SIDE, MAX_SIDE = 8, 16_384
MAX_RATIO = 32
"""The longest side may be this many times the shortest: no model sees anything in a thinner strip."""

FORMATS = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WebP", "GIF": "GIF", "BMP": "BMP"}
"""What Pillow calls each format that is read, and what members call it."""

RECIPE_KEYWORDS = frozenset({"easel", "workflow", "invokeai_metadata", "sd-metadata"})
"""Under which Easel, ComfyUI and InvokeAI leave their recipes, beside the `parameters` of all others."""

DAMAGED = N_("This picture is damaged or cut short: save it again and upload that.")

with contextlib.suppress(ImportError):  # an optional library: without it, HEIC is refused in a sentence
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]

    pillow_heif.register_heif_opener()
    FORMATS["HEIF"] = "HEIC"


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that was read: a PNG, RGB or with transparency RGBA, upright; with XMP where the origin is known."""

    file: str
    """Its name in the folder that it was left in."""
    sha256: str
    width: int
    height: int


def read(file: Path, folder: Path) -> Upload:
    """Read the picture in this file, which somebody uploaded, and leave it in the folder.

    Raises MemberError with what is wrong with it.
    """
    with _in_words():
        data = file.read_bytes()
        containers.check(data)
        with _opened(data) as picture:
            _check_size(*picture.size)
            source = declared_source(data) or _source_by_recipe(_texts(picture, data))
            # The first of several; the others are never decoded.
            picture.load()
            _check_size(*picture.size)
            bare = _bare(ImageOps.exif_transpose(picture))
    return saved(bare, folder, source)


def texts(file: Path, keywords: tuple[str, ...]) -> dict[str, str]:
    """What tools have written into a picture's file under these keywords: PNG's texts, and EXIF's user comment, where
    JPEG and WebP carry what a PNG has under `parameters`. Raises MemberError where it is no picture."""
    with _in_words():
        data = file.read_bytes()
        # Of any size: no pixel of it is decoded.
        with _opened(data) as picture:
            found = _texts(picture, data)
    return {keyword: found[keyword] for keyword in keywords if keyword in found}


def saved(picture: Image.Image, folder: Path, source: SourceType | None = None) -> Upload:
    """Leave these pixels in the folder, for the bot to take over."""
    stream = io.BytesIO()
    kept = PngInfo()
    if source is not None:
        kept.add_itxt(XMP_KEYWORD, xmp(source))
    picture.save(stream, format="PNG", compress_level=1, pnginfo=kept)
    file, sha256 = leave(folder, stream.getvalue())
    return Upload(file, sha256, picture.width, picture.height)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """What these bytes hold, nothing decoded yet."""
    with warnings.catch_warnings():
        # Sizes are checked here, for every format alike.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(io.BytesIO(containers.bare(data)), formats=tuple(FORMATS))
    with picture:
        yield picture


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Say what is wrong with a file: decoders raise whatever their format's reading comes to."""
    try:
        yield
    except (MemberError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise MemberError.of(because("upload_bomb", most=MAX_PIXELS // 1_000_000)) from error
    except UnidentifiedImageError as error:
        raise MemberError(
            "This file holds no picture that can be read: upload it as one of {formats}.",
            formats=tuple(FORMATS.values()),
        ) from error
    except Exception as error:
        raise MemberError(DAMAGED) from error


def _texts(picture: Image.Image, data: bytes) -> dict[str, str]:
    found = {str(key): str(value) for key, value in picture.info.items() if isinstance(value, str)}
    found |= containers.texts(data)
    # Not the PNG's own, which decodes the whole picture to look behind it.
    comment = Image.Image.getexif(picture).get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        # Its byte order is nowhere written down; the tools that write recipes there use the big end first.
        found.setdefault("parameters", comment[8:].decode("utf-16-be", errors="replace"))
    return found


def _source_by_recipe(texts: Mapping[str, str]) -> SourceType | None:
    """What a tool's recipe in a file comes to, where the file does not say it plainly."""
    # Comments of cameras stand in the same place as recipes.
    told = "Steps: " in texts.get("parameters", "") or not RECIPE_KEYWORDS.isdisjoint(texts)
    return "trainedAlgorithmicMedia" if told else None


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise MemberError(
            "This picture has {width}x{height} pixels and {least} a side is the least: enlarge it.",
            width=width,
            height=height,
            least=MIN_SIDE,
        )
    if width * height > MAX_PIXELS:
        raise MemberError.of(because("upload_pixels", width=width, height=height, most=MAX_PIXELS // 1_000_000))
    if max(width, height) > min(MAX_SIDE, MAX_RATIO * min(width, height)):
        raise MemberError(
            "This picture has {width}x{height} pixels, which is too long and thin: crop it.", width=width, height=height
        )


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
