"""What tools have written into the file of a picture: texts by keyword, in whatever place and encoding.

All stand under the keyword that a PNG has for them: comments of a JPEG or a WebP, which hold what a PNG has under
`parameters`, stand there as well. What the texts mean is for `recipes`.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import ExifTags, Image

from bot.pictures import containers
from bot.pictures.containers import MAX_TEXT_BYTES, text_of
from inference.protocol import XMP_KEYWORD

PARAMETERS = "parameters"

STEPS = re.compile(r"\bSteps: \d")
"""In everything that AUTOMATIC1111 and its like write, and in no comment of a camera."""

CODES: Mapping[bytes, str | None] = {
    b"ASCII\0\0\0": None,
    b"JIS\0\0\0\0\0": "iso2022_jp",
    b"UNICODE\0": "utf-16",
    bytes(8): None,
}
"""EXIF's codes before a comment; None where bytes are to be read as they are."""

SAMPLE_CHARS = 2000
"""So much of a text shows in which order its bytes are."""

EXIF_TAGS = {ExifTags.Base.Software: "Software", ExifTags.Base.ImageDescription: "Description"}
"""Where EXIF has what stands in a PNG under these keywords."""

LABELLED = re.compile(r"(?i)(prompt|workflow):(?=\s*\{)")
"""How ComfyUI labels its texts in the fields of EXIF, where there are no keywords."""


def written(picture: Image.Image, data: bytes) -> dict[str, str]:
    """All texts of an opened file; its pixels are not decoded."""
    found = containers.texts(data)
    comments = [*_of_exif(picture, found), _decoded(picture.info.get("comment"))]
    xmp = picture.info.get("xmp")
    if isinstance(xmp, bytes) and len(xmp) <= MAX_TEXT_BYTES:
        found.setdefault(XMP_KEYWORD, text_of(xmp))
    if XMP_KEYWORD in found:
        comments.append(_element(found[XMP_KEYWORD], "exif:UserComment"))
        if creator := _element(found[XMP_KEYWORD], "xmp:CreatorTool"):
            found.setdefault("Software", creator)
    for comment in filter(None, comments):
        if STEPS.search(comment) or object_of(comment) is not None:
            for keyword, text in spread(comment).items():
                found.setdefault(keyword, text)
    return found


def spread(text: str) -> dict[str, str]:
    """By keyword what a tool has put into one text, because the place that it wrote to has no keywords."""
    texts = object_of(text) or {}
    if "Comment" in texts or isinstance(texts.get("prompt"), dict) or isinstance(texts.get("workflow"), dict):
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in texts.items()}
    return {PARAMETERS: text}


def object_of(text: str | None) -> dict[str, Any] | None:
    """The JSON object that this text is; None where it is anything else."""
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _of_exif(picture: Image.Image, found: dict[str, str]) -> Iterator[str]:
    """Comments, wherever tools put them; what has a keyword of its own goes to the texts found."""
    # Not the PNG's own, which decodes the whole picture to look behind it.
    exif = Image.Image.getexif(picture)
    for tag, value in exif.items():
        text = _decoded(value) if isinstance(value, str | bytes) else ""
        if label := LABELLED.match(text):
            found.setdefault(label[1].lower(), text[label.end() :])
        elif tag in EXIF_TAGS and text:
            found.setdefault(EXIF_TAGS[ExifTags.Base(tag)], text)
    for place in (exif.get_ifd(ExifTags.IFD.Exif), exif):
        yield _decoded(place.get(ExifTags.Base.UserComment))


def _decoded(raw: object) -> str:
    """A comment, whatever its encoding; empty where there is none, or one longer than any recipe."""
    if isinstance(raw, str):
        # Pillow reads it as Latin-1, in which every byte is a sign.
        raw = raw.encode("latin-1", errors="replace")
    if not isinstance(raw, bytes) or len(raw) > MAX_TEXT_BYTES:
        return ""
    body = raw[8:]
    match CODES.get(raw[:8].upper(), "none"):
        case "utf-16":
            text = _of_utf16(body)
        case "iso2022_jp":
            text = body.decode("iso2022_jp", errors="replace")
        case None:
            text = text_of(body)
        case _:
            text = text_of(raw)
    return text.strip("\0\ufeff \r\n\t")


def _of_utf16(body: bytes) -> str:
    """EXIF says nothing of the order of a character's bytes, tools write either, and some write UTF-8 instead."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", errors="replace")
    texts = [body.decode(encoding, errors="replace") for encoding in ("utf-16-be", "utf-16-le")]
    if b"\0" not in body.rstrip(b"\0"):
        texts.append(text_of(body.rstrip(b"\0")))
    return max(texts, key=_plausible)


def _plausible(text: str) -> int:
    """How much this looks as if somebody had written it."""
    sample = text[:SAMPLE_CHARS]
    likely = sum(sign.isascii() and (sign.isprintable() or sign == "\n") for sign in sample)
    unlikely = sum(sign == "\ufffd" or unicodedata.category(sign) in ("Cn", "Co", "Cs", "Cc") for sign in sample)
    return likely - unlikely


def _element(xmp: str, name: str) -> str:
    """The text of XMP's property of this name, be it an element or an attribute; empty where there is none."""
    start = xmp.find(f"<{name}")
    if start >= 0:
        content = xmp[start : xmp.find(f"</{name}>", start)].partition(">")[2]
        return html.unescape(re.sub(r"<[^<>]*>", "", content)).strip()
    start = xmp.find(f'{name}="')
    return "" if start < 0 else html.unescape(xmp[start:].split('"', 2)[1])
