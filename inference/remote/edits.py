"""A picture and its mask at the size that a server paints, and what it painted put back where it belongs.

Outside the mask every pixel stays as it was, bit for bit, whatever the server has made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from inference.pictures import images


@dataclass(frozen=True)
class Edit:
    """A picture of which a part is painted anew."""

    picture: Image.Image
    mask: Image.Image
    """L, of its size: white is painted, black stays."""
    width: int
    height: int
    """The size that is painted."""

    @property
    def _place(self) -> tuple[int, int, int, int]:
        """Where the picture stands in what is painted, whole and in its own proportions: left, top, right, bottom."""
        scale = min(self.width / self.picture.width, self.height / self.picture.height)
        wide, high = (max(1, round(side * scale)) for side in self.picture.size)
        left, top = (self.width - wide) // 2, (self.height - high) // 2
        return left, top, left + wide, top + high

    @cached_property
    def shown(self) -> Image.Image:
        """What the server is shown, RGB."""
        left, top, right, bottom = self._place
        sheet = Image.new("RGB", (self.width, self.height), "grey")
        # On grey, not on white: what is transparent is what is to be painted, most often.
        ground = Image.new("RGBA", self.picture.size, "grey")
        opaque = Image.alpha_composite(ground, self.picture.convert("RGBA")).convert("RGB")
        sheet.paste(opaque.resize((right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))
        return sheet

    @property
    def marked(self) -> Image.Image:
        """The mask as OpenAI's API has it, RGBA: what is transparent in it is painted."""
        left, top, right, bottom = self._place
        kept = Image.new("L", (self.width, self.height), 255)
        shares = self.mask.resize((right - left, bottom - top), Image.Resampling.BOX)
        kept.paste(shares.point(lambda share: 0 if share else 255), (left, top))
        sheet = self.shown.convert("RGBA")
        sheet.putalpha(kept)
        return sheet

    def put_back(self, painted: Image.Image) -> Image.Image:
        """The picture with the masked part of what was painted, in its own size."""
        whole = images.opaque(painted)
        if whole.size != (self.width, self.height):
            whole = whole.resize((self.width, self.height), Image.Resampling.LANCZOS)
        own = whole.crop(self._place).resize(self.picture.size, Image.Resampling.LANCZOS)
        kept = self.picture if self.picture.mode in ("RGB", "RGBA") else self.picture.convert("RGB")
        return Image.composite(own.convert(kept.mode), kept, self.mask)
