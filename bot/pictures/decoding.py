"""Pictures that members upload, read: checked before they are decoded, turned upright, stripped to bare sRGB pixels.

Runs in the child processes of `workers`, on files. What is left of a picture is a PNG of ours: no EXIF, no second
file hidden behind the picture, nothing that a decoder further on could stumble over. One thing of the file is kept, in
words of ours: whether it says that a model made the picture. One that may bear a C2PA manifest is named by the hash of
its file, so that the same pixels from elsewhere are another picture.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from bot.errors import MemberError
from bot.pictures import colours, containers, manifests, profiles, recipes, stealth
from bot.pictures.recipes import Recipe
from bot.pictures.texts import spread, written
from bot.words import N_
from inference.protocol import XMP_KEYWORD, Left, SourceType, because, declared_source, leave, sha256_of, xmp

MAX_PIXELS = 36_000_000
MIN_SIDE, MAX_SIDE = 8, 16_384
MAX_RATIO = 32
"""The longest side may be this many times the shortest: no model sees anything in a thinner strip."""

FORMATS = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WebP", "GIF": "GIF", "BMP": "BMP", "AVIF": "AVIF", "TIFF": "TIFF"}
"""What Pillow calls each format that is read, and what members call it."""

DAMAGED = N_("This picture is damaged or cut short: save it again and upload that.")

with contextlib.suppress(ImportError):  # an optional library: without it, HEIC is refused in a sentence
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]

    pillow_heif.register_heif_opener()
    FORMATS["HEIF"] = "HEIC"


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that was read: a PNG in sRGB, with alpha where some is transparent, upright; with XMP where the origin
    is known."""

    file: str
    """Its name in the folder that it was left in."""
    sha256: str
    width: int
    height: int
    origin: str | None = None
    """The SHA-256 of the file that it was read from, where that may bear a C2PA manifest."""
    ingredient: str | None = None
    """The name there of what that says, where it was taken along."""

    def left(self, folder: Path) -> Left:
        """What is taken over, where it was left in this folder of `incoming`."""
        ingredient = None if self.ingredient is None else f"{folder.name}/{self.ingredient}"
        return Left(f"{folder.name}/{self.file}", self.sha256, ingredient)


def read(file: Path, folder: Path) -> Upload:
    """Read the picture in this file, which somebody uploaded, and leave it in the folder.

    Raises MemberError with what is wrong with it.
    """
    with _in_words():
        data = file.read_bytes()
        containers.check(data)
        with _opened(data) as picture:
            _check_size(*picture.size)
            texts = written(picture, data)
            # The first of several; the others are never decoded.
            picture.load()
            _check_size(*picture.size)
            if containers.lacks_end(data):
                _require_all(picture, data)
            profile = profiles.of_file(picture, data)
            source = declared_source(data) or declared_source(texts.get(XMP_KEYWORD, "").encode())
            if source is None and (told := _told(texts, picture)) is not None and told.by_model:
                source = "trainedAlgorithmicMedia"
            bare = colours.in_srgb(ImageOps.exif_transpose(stealth.cleared(picture)), profile)
            bare.info = {}
            origin = sha256_of(data) if manifests.bears(data) else None
    return saved(bare, folder, source, origin)


def texts(file: Path, keywords: tuple[str, ...]) -> dict[str, str]:
    """What tools have written into a picture's file under these keywords, wherever they put it. Raises MemberError
    where it is no picture."""
    with _in_words():
        data = file.read_bytes()
        # Of any size: no pixel of it is decoded.
        with _opened(data) as picture:
            found = written(picture, data)
    return {keyword: found[keyword] for keyword in keywords if keyword in found}


def recipe(file: Path) -> Recipe | None:
    """What a picture's file says of how it was made; None where it says nothing. Raises MemberError where it is no
    picture."""
    with _in_words():
        data = file.read_bytes()
        with _opened(data) as picture:
            return _told(written(picture, data), picture)


def saved(picture: Image.Image, folder: Path, source: SourceType | None = None, origin: str | None = None) -> Upload:
    """Leave these pixels in the folder, for the bot to take over."""
    stream = io.BytesIO()
    kept = PngInfo()
    if source is not None:
        kept.add_itxt(XMP_KEYWORD, xmp(source))
    if origin is not None:
        kept.add_text("origin", origin)
    picture.save(stream, format="PNG", compress_level=1, pnginfo=kept)
    left = leave(folder, stream.getvalue())
    return Upload(left.file, left.sha256, picture.width, picture.height, origin)


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


def _told(texts: dict[str, str], picture: Image.Image) -> Recipe | None:
    """The recipe among these texts of a file, or hidden in its pixels, which are looked at where the texts say
    nothing."""
    told = recipes.told(texts)
    if told is not None or picture.width * picture.height > MAX_PIXELS:
        return told
    picture.load()
    hidden = stealth.found(picture)
    return None if hidden is None else recipes.told(spread(hidden))


def _require_all(picture: Image.Image, data: bytes) -> None:
    """Refuse a JPEG without its end where anything else is missing as well: then what could be pixels is taken for
    them. Raises MemberError."""
    for more in containers.MORE:
        with Image.open(io.BytesIO(containers.ended(data, more)), formats=("JPEG",)) as other:
            if ImageChops.difference(picture, other).getbbox() is not None:
                raise MemberError(DAMAGED)


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
