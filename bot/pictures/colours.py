"""Colours: what the numbers of a file mean, by its profile or by its format, said again in sRGB.

All that is kept is sRGB, and says so by carrying no profile. Pixels come in decoded, and go out as RGB, or as RGBA
where some are transparent.
"""

from __future__ import annotations

import io

from PIL import Image, ImageChops, ImageCms

from bot.errors import MemberError
from bot.pictures.containers import MAX_PROFILE_BYTES

SAME = 2
"""So many levels of 255 may a profile be beside sRGB and yet mean it: programs write the curve in different ways."""

STEPS = range(0, 256, 15)

Space = tuple[str, str]
"""A profile's colour space, as ICC writes it, and the mode of pixels in it."""

SPACES: dict[str, Space] = {
    "RGB": ("RGB ", "RGB"),
    "RGBA": ("RGB ", "RGB"),
    "P": ("RGB ", "RGB"),
    "1": ("GRAY", "L"),
    "L": ("GRAY", "L"),
    "LA": ("GRAY", "L"),
    "CMYK": ("CMYK", "CMYK"),
    "LAB": ("Lab ", "LAB"),
}


def in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture's colours in sRGB, RGBA where it says that pixels of it could be transparent.

    What a profile says counts where it can be read and is one of such pixels; else they are taken for sRGB, as browsers
    do. One that says sRGB in its own words changes no bit. Raises MemberError where pixels have no known colours.
    """
    if picture.mode.startswith("I;16"):
        # Pillow would cut them off at 255 instead of scaling them.
        numbers = picture if picture.mode == "I;16" else picture.convert("I")
        picture = numbers.point(lambda value: value / 256).convert("L")
    if picture.mode in ("I", "F"):
        raise MemberError("This picture has numbers of 32 bits for pixels: save it with 8 or 16 bits and upload that.")
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    opacity = picture.convert("RGBA").getchannel("A") if transparent else None
    colours = _converted(picture, profile) or _plain(picture)
    if opacity is not None and opacity.getextrema() != (255, 255):
        colours.putalpha(opacity)
    return colours


def _plain(picture: Image.Image) -> Image.Image:
    """The pixels in RGB, their numbers taken for what they mostly mean."""
    if picture.mode == "LAB":
        return _moved(picture, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")
    # Of a palette with transparent colours Pillow wants to know that too.
    return (picture.convert("RGBA") if picture.mode == "P" else picture).convert("RGB")


def _converted(picture: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The pixels in RGB by their profile; None where there is none that says anything else than sRGB of them."""
    if not profile or len(profile) > MAX_PROFILE_BYTES or picture.mode not in SPACES:
        return None
    space, mode = SPACES[picture.mode]
    try:
        said = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if mode == "L" and said.profile.xcolor_space == "RGB ":
            # Greys among colours, as some programs save them.
            space, mode = "RGB ", "RGB"
        if said.profile.xcolor_space != space:
            return None
        if mode in ("RGB", "L"):
            samples = _samples(mode)
            difference = ImageChops.difference(_moved(samples, said, mode), samples.convert("RGB"))
            if max(most for _, most in difference.getextrema()) <= SAME:  # type: ignore[misc]
                return None
        pixels = picture if picture.mode == mode else _plain(picture).convert(mode)
        return _moved(pixels, said, mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # A broken profile: nobody else can read it either.
        return None


def _moved(pixels: Image.Image, profile: ImageCms.ImageCmsProfile, mode: str) -> Image.Image:
    # Colours that sRGB has stay what they are, blacks stay black: what browsers and printers' programs do.
    moved = ImageCms.profileToProfile(
        pixels,
        profile,
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert moved is not None, f"{mode} is not changed in its place"
    return moved


def _samples(mode: str) -> Image.Image:
    """Colours of all kinds."""
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    cube = bytes(value for red in STEPS for green in STEPS for blue in STEPS for value in (red, green, blue))
    return Image.frombytes("RGB", (len(STEPS) ** 3, 1), cube)
