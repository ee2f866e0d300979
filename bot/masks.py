"""Masks: which part of a picture is painted anew. White is painted, black stays.

From another picture, from what is transparent, or from room that is added at the sides. Works on uploads that
`attachments` has read; takes time, so call it in a thread.
"""

from __future__ import annotations

import io
from collections.abc import Collection

from PIL import Image

from bot.attachments import MAX_PIXELS, Upload
from bot.errors import MemberError

SIDES = ("left", "right", "up", "down", "all")
EXTENSION = 0.5
"""How much room is added at a side, as a share of the picture."""

HALF = 128


def of_picture(mask: Upload, picture: Upload) -> Upload:
    """What is white in a picture given as mask or, where it has transparent parts, what is transparent.

    Raises MemberError where that is nothing.
    """
    with Image.open(io.BytesIO(mask.png)) as opened:
        marked = _transparent(opened) or opened.convert("L")
    marked = marked.resize((picture.width, picture.height)).point(_black_or_white)
    if marked.getbbox() is None:
        raise MemberError("The mask marks nothing: make white what shall be painted.")
    return _upload(marked)


def of_transparency(picture: Upload) -> Upload | None:
    """What is transparent in a picture; None where nothing is."""
    with Image.open(io.BytesIO(picture.png)) as opened:
        marked = _transparent(opened)
    return None if marked is None else _upload(marked)


def extended(picture: Upload, sides: Collection[str]) -> tuple[Upload, Upload]:
    """The picture with room at these sides, and the mask of that room. Raises MemberError where that is too large."""
    across, down = round(picture.width * EXTENSION), round(picture.height * EXTENSION)
    everywhere = "all" in sides
    left, right = ((everywhere or side in sides) * across for side in ("left", "right"))
    up, below = ((everywhere or side in sides) * down for side in ("up", "down"))
    width, height = picture.width + left + right, picture.height + up + below
    if width * height > MAX_PIXELS:
        raise MemberError(f"{width}x{height} would be too large: extend a smaller picture, or fewer sides.")
    with Image.open(io.BytesIO(picture.png)) as opened:
        old = opened.convert("RGBA")
    # The edge goes on into the new room, so that where little is changed it is no hole.
    canvas = old.transform((width, height), Image.Transform.AFFINE, (1, 0, -left, 0, 1, -up))
    inside = (left, up, left + old.width, up + old.height)
    for strip, place in (
        (old.crop((0, 0, 1, old.height)).resize((max(1, left), old.height)), (0, up)),
        (old.crop((old.width - 1, 0, old.width, old.height)).resize((max(1, right), old.height)), (inside[2], up)),
    ):
        canvas.paste(strip, place)
    canvas.paste(canvas.crop((0, up, width, up + 1)).resize((width, max(1, up))), (0, 0))
    canvas.paste(canvas.crop((0, inside[3] - 1, width, inside[3])).resize((width, max(1, below))), (0, inside[3]))
    canvas.paste(old, inside)
    mask = Image.new("L", (width, height), 255)
    mask.paste(0, inside)
    return _upload(canvas.convert("RGB") if _transparent(old) is None else canvas), _upload(mask)


def _transparent(picture: Image.Image) -> Image.Image | None:
    """White where the picture is transparent; None where nothing is."""
    if "A" not in picture.getbands():
        return None
    marked = picture.getchannel("A").point(lambda alpha: 255 if alpha < HALF else 0)
    return marked if marked.getbbox() else None


def _black_or_white(lightness: int) -> int:
    return 255 if lightness >= HALF else 0


def _upload(picture: Image.Image) -> Upload:
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=1)
    return Upload(stream.getvalue(), picture.width, picture.height)
