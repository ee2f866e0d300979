"""Masks: which part of a picture is painted anew. White is painted, black stays.

From another picture, from what is transparent, or from room that is added at the sides. Programs draw masks in four
ways, and which of them it is shows in what is there:

1. nothing is transparent: white is painted, black stays;
2. black and white on a transparent ground: white is painted, the rest stays;
3. one colour on a transparent ground, a brush's: what it drew is painted, whatever colour it is;
4. anything else with holes, a picture: the holes are painted.

Runs in the child processes
of `workers`, on uploads that `decoding` has left in a folder, and leaves what it makes there as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageChops

from bot.errors import MemberError
from bot.pictures.decoding import MAX_PIXELS, Upload, saved
from bot.words import N_
from inference.protocol import because

SIDES = (N_("left"), N_("right"), N_("up"), N_("down"), N_("all"))
EXTENSION = 0.5
"""How much room is added at a side, as a share of the picture."""

HALF = 128

NEAR = 32
"""So many levels of 255 apart, colours are one."""

STRAY = 0.02
"""So much of a layer may have other colours: edges of strokes, and what a lossy format makes of them."""

SPECK = 0.002
"""So much of a layer must be white, that it is more than a stray pixel."""


def prepare(
    folder: Path, image: Upload, mask: Upload | None, extend: str | None, needed: bool = True
) -> dict[str, Upload]:
    """The picture that is worked on and its mask, as the member gave them.

    Where nothing says what is meant, it is the whole picture, or else, with `needed`, MemberError is raised.
    """
    if extend is not None:
        image, room = extended(folder, image, extend)
        return {"image": image, "mask": room}
    marked = of_transparency(folder, image) if mask is None else of_picture(folder, mask, image)
    if marked is None and not needed:
        return {"image": image}
    if marked is None:
        raise MemberError("Say which part is meant: `what`, `mask` or `extend`, or make it transparent.")
    return {"image": image, "mask": marked}


def of_holes(folder: Path, image: Upload, mask: Upload | None = None) -> dict[str, Upload]:
    """The picture that is worked on and its mask by the one rule of OpenAI's images API: what is transparent is
    painted, in the mask or, without one, in the picture itself. Where nothing is in that, there is no mask.

    Raises MemberError where a mask has another size, or nothing transparent in it.
    """
    if mask is None:
        marked = of_transparency(folder, image)
        return {"image": image} if marked is None else {"image": image, "mask": marked}
    if (mask.width, mask.height) != (image.width, image.height):
        raise MemberError.of(because("mask_size"))
    if (marked := of_transparency(folder, mask)) is None:
        raise MemberError("The mask marks nothing: make transparent what shall be painted.")
    return {"image": image, "mask": marked}


def of_picture(folder: Path, mask: Upload, picture: Upload) -> Upload:
    """What a picture given as mask marks, at the size of the picture.

    Raises MemberError where that is nothing.
    """
    with Image.open(folder / mask.file) as opened:
        marked = _marked(opened)
    marked = marked.resize((picture.width, picture.height)).point(_black_or_white)
    if marked.getbbox() is None:
        raise MemberError("The mask marks nothing: make white what shall be painted.")
    return saved(marked, folder)


def of_transparency(folder: Path, picture: Upload) -> Upload | None:
    """What is transparent in a picture; None where nothing is."""
    with Image.open(folder / picture.file) as opened:
        marked = _transparent(opened)
    return None if marked is None else saved(marked, folder)


def extended(folder: Path, picture: Upload, side: str) -> tuple[Upload, Upload]:
    """The picture with room at this side or at all, with the mask of it. Raises MemberError where it is too large."""
    across, down = round(picture.width * EXTENSION), round(picture.height * EXTENSION)
    left, right = ((side in (name, "all")) * across for name in ("left", "right"))
    up, below = ((side in (name, "all")) * down for name in ("up", "down"))
    width, height = picture.width + left + right, picture.height + up + below
    if width * height > MAX_PIXELS:
        raise MemberError(
            "{width}x{height} would be too large: extend a smaller picture, or fewer sides.", width=width, height=height
        )
    with Image.open(folder / picture.file) as opened:
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
    larger = saved(canvas.convert("RGB") if _transparent(old) is None else canvas, folder, origin=picture.origin)
    return replace(larger, ingredient=picture.ingredient), saved(mask, folder)


def _marked(mask: Image.Image) -> Image.Image:
    """White where a mask says that it shall be painted, by the rules above."""
    lightness = mask.convert("RGB").convert("L")
    holes = _transparent(mask)
    if holes is None:
        return lightness
    # However faint a brush is, half of its strength is its edge, where colours run into the ground's.
    opacity = mask.getchannel("A")
    strength = int(opacity.getextrema()[1])  # type: ignore[arg-type]
    there, inside = (
        opacity.point(lambda alpha, least=share * strength: 255 if alpha and alpha >= least else 0)
        for share in (0.5, 0.9)
    )
    if there.getbbox() is None:
        return there
    shades = [channel.histogram(inside) for channel in mask.convert("RGB").split()]
    levels = lightness.histogram(inside)
    count = sum(levels)
    if _is_grey(mask, inside) and sum(levels[NEAR:-NEAR]) <= STRAY * count and sum(levels[-NEAR:]) >= SPECK * count:
        return ImageChops.multiply(lightness, there)
    return there if all(_spread(shade) <= NEAR for shade in shades) else holes


def _is_grey(mask: Image.Image, inside: Image.Image) -> bool:
    """Whether hardly anything of this has a colour."""
    red, green, blue = mask.convert("RGB").split()
    differences = (ImageChops.difference(red, other).histogram(inside) for other in (green, blue))
    return all(sum(levels[NEAR:]) <= STRAY * sum(levels) for levels in differences)


def _spread(levels: Sequence[int]) -> int:
    """Between which levels nearly all of it lies."""
    most = STRAY / 2 * sum(levels)
    ends = []
    for order in (levels, levels[::-1]):
        passed = itertools.accumulate(order)
        ends.append(next(level for level, count in enumerate(passed) if count > most))
    return 255 - sum(ends)


def _transparent(picture: Image.Image) -> Image.Image | None:
    """White where the picture is transparent; None where nothing is."""
    if "A" not in picture.getbands():
        return None
    marked = picture.getchannel("A").point(lambda alpha: 255 if alpha < HALF else 0)
    return marked if marked.getbbox() else None


def _black_or_white(lightness: int) -> int:
    return 255 if lightness >= HALF else 0
