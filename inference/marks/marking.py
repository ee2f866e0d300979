"""How a finished picture is marked on its way out, and what the marks of one that comes in say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from inference.marks import watermark
from inference.marks.signing import Sign
from inference.pictures import images
from inference.protocol import AI_MADE, XMP_KEYWORD, Origin, SourceType, declared_source, xmp


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What the operator wants of the marks. XMP is written whatever they want."""

    watermark: bool = True
    sign: Sign | None = None
    """With the operator's certificate, where there is one."""

    def watermark_of(self, picture: Image.Image) -> Mapping[str, Any] | None:
        """What a recipe says of the watermark that this picture is to bear; None where it bears none."""
        return watermark.AS_RECIPE if self.watermark and watermark.fits(picture) else None

    def png(self, picture: Image.Image, texts: Mapping[str, str], source: SourceType, watermarked: bool) -> bytes:
        """The picture as the file that goes out, with these texts and its marks."""
        marked = watermark.embed(picture) if watermarked else picture
        file = images.png(marked, {**texts, XMP_KEYWORD: xmp(source)})
        return file if self.sign is None else self.sign(file, source)


ALL = Marks()
"""What is wanted where the operator says nothing."""


def origin(picture: Image.Image, file: bytes) -> Origin:
    """Who made a picture, as far as its marks tell: those in its pixels first, then those of its file."""
    if watermark.found(picture):
        return "easel"
    return "model" if declared_source(file) in AI_MADE else "unknown"


def source_kept(origin: Origin, file: bytes) -> SourceType:
    """What to say of a picture that shows the same as the one in this file: what a model had made stays that."""
    unsaid: SourceType = "trainedAlgorithmicMedia" if origin == "easel" else "algorithmicallyEnhanced"
    return declared_source(file) or unsaid
