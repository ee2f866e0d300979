"""How a finished picture is marked on its way out, and what the marks of one that comes in say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from inference.marks import watermark
from inference.pictures import images
from inference.protocol import AI_MADE, XMP_KEYWORD, MadeBy, Origin, SourceType, declared_source, xmp


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What the operator wants of the marks. XMP is written whatever they want."""

    watermark: bool = True

    def watermark_of(self, picture: Image.Image, within: Image.Image | None = None) -> Mapping[str, Any] | None:
        """What a recipe says of the watermark that this picture, or the part of it that is white in a mask, is to bear;
        None where it bears none."""
        if not self.watermark or not watermark.fits(picture, within):
            return None
        return watermark.AS_RECIPE if within is None else {**watermark.AS_RECIPE, "within": "painted"}

    def png(
        self,
        picture: Image.Image,
        texts: Mapping[str, str],
        source: SourceType,
        watermarked: bool,
        made_by: MadeBy | None = None,
        within: Image.Image | None = None,
    ) -> bytes:
        """The picture as the file that goes out, with these texts and its marks.

        The watermark lies in what is white in the mask `within`, where there is one. Readers take whatever tells of a
        system for a model's work, so it is told of that alone.
        """
        marked = watermark.embed(picture, within) if watermarked else picture
        return images.png(marked, {**texts, XMP_KEYWORD: xmp(source, made_by if source in AI_MADE else None)})


ALL = Marks()
"""What is wanted where the operator says nothing."""


def made_by(recipe: Mapping[str, Any], *beside: Mapping[str, Any]) -> MadeBy:
    """What the recipe of one picture, painted or enlarged, tells in the words of IPTC; with the models of those that
    stand `beside` it in one file."""
    models = {each["model"]["name"]: f"{each['model']['name']} {each['model']['hash']}" for each in (recipe, *beside)}
    words = [*recipe.get("words", ())][:1]
    asked = [each["prompt"] + (f"\nNegative prompt: {each['negative']}" if each["negative"] else "") for each in words]
    release = ", ".join([f"Easel {recipe['versions']['easel']}", *models.values()])
    return MadeBy(system=", ".join(["Easel", *models]), version=release, prompt="".join(asked) or None)


def origin(picture: Image.Image, file: bytes) -> Origin:
    """Who made a picture, as far as its marks tell: those in its pixels first, then those of its file."""
    if watermark.found(picture):
        return "easel"
    return "model" if declared_source(file) in AI_MADE else "unknown"


def source_kept(origin: Origin, file: bytes) -> SourceType:
    """What to say of a picture that shows the same as the one in this file: what a model had made stays that."""
    unsaid: SourceType = "trainedAlgorithmicMedia" if origin == "easel" else "algorithmicallyEnhanced"
    return declared_source(file) or unsaid
