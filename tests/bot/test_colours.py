"""What members upload comes out in sRGB, whatever its file says its numbers mean."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image, ImageCms

from bot.pictures import profiles
from bot.pictures.containers import MAX_PROFILE_BYTES
from bot.pictures.profiles import D65, PRIMARIES, SRGB, matrix
from tests.bot.uploads import chunk, decode, opened, picture, saved, with_chunk

P3 = matrix(PRIMARIES[12], D65, profiles.srgb)
LINEAR = matrix(SRGB, D65, lambda number: number)
SWAPPED = matrix((SRGB[2], SRGB[1], SRGB[0]), D65, profiles.srgb)
OURS = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

COLOUR = (200, 120, 60)


def of_p3(colour: tuple[int, int, int]) -> np.ndarray:
    """The same colour in sRGB, worked out by the definitions of both (IEC 61966-2-1, SMPTE EG 432-1)."""
    to_xyz = {
        "p3": [[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0, 0.04511, 1.04394]],
        "srgb": [[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]],
    }
    numbers = np.array(colour) / 255
    light = np.where(numbers <= 0.04045, numbers / 12.92, ((numbers + 0.055) / 1.055) ** 2.4)
    light = np.linalg.solve(to_xyz["srgb"], np.array(to_xyz["p3"]) @ light).clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def one_colour(mode: str = "RGB", colour: object = COLOUR) -> Image.Image:
    return Image.new(mode, (16, 16), colour)  # type: ignore[arg-type]


def pixel(data: bytes) -> tuple[int, ...]:
    found: tuple[int, ...] = opened(decode(data).png).getpixel((5, 5))
    return found


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("AVIF", {"quality": 100}),
        ("HEIF", {"quality": 100}),
    ],
)
def test_profile_is_followed_and_not_kept(kind: str, options: Mapping[str, object]) -> None:
    upload = decode(saved(one_colour(), kind, icc_profile=P3, **options))
    assert np.allclose(opened(upload.png).getpixel((5, 5)), of_p3(COLOUR), atol=2)
    assert np.abs(of_p3(COLOUR) - COLOUR).max() > 10, "it makes a difference"
    assert "icc_profile" not in opened(upload.png).info


def test_codes_of_a_heic_without_a_profile_are_followed() -> None:
    heic = saved(one_colour(), "HEIF", quality=100, color_primaries=12, transfer_characteristics=13)
    assert np.allclose(pixel(heic), of_p3(COLOUR), atol=3)
    plain = saved(one_colour(), "HEIF", quality=100)
    assert pixel(plain) == opened(plain).convert("RGB").getpixel((5, 5))


def test_red_house_of_a_strange_profile_is_red() -> None:
    assert pixel(saved(one_colour(colour=(0, 0, 255)), "PNG", icc_profile=SWAPPED)) == pytest.approx((255, 0, 0), abs=1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_profile_that_says_srgb_changes_no_bit(mode: str) -> None:
    noise = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3)).convert(mode)
    # The second is as near as programs come that write colours with fewer digits.
    for profile in (OURS, matrix(((0.6405, 0.33), (0.3, 0.6), (0.15, 0.06)), D65, profiles.srgb)):
        assert decode(saved(noise, "PNG", icc_profile=profile)).png == decode(saved(noise, "PNG")).png


def test_transparency_is_no_colour() -> None:
    image = one_colour("RGBA", (*COLOUR, 255))
    opacity = Image.linear_gradient("L").resize((16, 16))
    image.putalpha(opacity)
    came = opened(decode(saved(image, "PNG", icc_profile=P3)).png)
    assert came.getchannel("A").tobytes() == opacity.tobytes()
    assert np.allclose(came.getpixel((5, 5))[:3], of_p3(COLOUR), atol=2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
@pytest.mark.parametrize("keyed", [False, True])
def test_pixels_without_a_profile_are_as_they_were_the_hidden_ones_too(mode: str, keyed: bool) -> None:
    if keyed and mode in ("RGBA", "LA"):
        return
    noise = Image.frombytes("RGBA", (32, 32), random.Random(1).randbytes(32 * 32 * 4)).convert(mode)
    options = {"transparency": noise.getpixel((3, 3))} if keyed else {}
    data = saved(noise, "PNG", **options)
    transparent = mode in ("RGBA", "LA") or "transparency" in opened(data).info
    came, meant = opened(decode(data).png), opened(data).convert("RGBA" if transparent else "RGB")
    assert (came.mode, came.tobytes()) == (meant.mode, meant.tobytes())


def test_palette_with_a_transparent_colour_is_converted() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette((*COLOUR, 255, 0, 255))
    image.putpixel((0, 0), 1)
    came = opened(decode(saved(image, "PNG", icc_profile=P3, transparency=1)).png)
    assert came.mode == "RGBA"
    assert np.allclose(came.getpixel((5, 5)), (*of_p3(COLOUR), 255), atol=2)
    assert came.getpixel((0, 0))[3] == 0


def test_turned_picture_is_converted_as_well() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    came = opened(decode(saved(picture(), "PNG", exif=exif, icc_profile=SWAPPED)).png)
    assert came.size == (30, 40)
    assert came.getpixel((15, 5))[2] > 250, "red, which is blue in this profile"


def tagged(space: bytes, kind: bytes, pcs: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """An ICC profile of these tags."""
    place = 128 + 4 + 12 * len(tags)
    table = struct.pack(">I", len(tags))
    bodies = b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, place + len(bodies), len(body))
        bodies += body
    head = struct.pack(">I4xI4s4s4s12x4s28x3i48x", place + len(bodies), 0x02100000, kind, space, pcs, b"acsp", *WHITE)
    return head + table + bodies


WHITE = (63190, 65536, 54061)
WTPT = struct.pack(">4s4x3i", b"XYZ ", *WHITE)


def test_greys_follow_the_profile_of_greys() -> None:
    linear = tagged(b"GRAY", b"mntr", b"XYZ ", {b"wtpt": WTPT, b"kTRC": struct.pack(">4s4xI", b"curv", 0)})
    for grey in (one_colour("L", 128), one_colour("LA", (128, 255)), Image.new("I;16", (16, 16), 128 * 257)):
        assert pixel(saved(grey, "PNG", icc_profile=linear)) == pytest.approx((188, 188, 188), abs=1)
        # Greys that some programs save with a profile of colours.
        assert pixel(saved(grey, "PNG", icc_profile=LINEAR)) == pytest.approx((188, 188, 188), abs=1)


def printer(cyan: tuple[int, int, int]) -> bytes:
    """A printer that prints cyan as this colour (CIELAB in bytes), and white paper with all other inks."""
    same = bytes(range(256))
    lattice = b"".join(bytes(cyan) if number & 8 else bytes((255, 128, 128)) for number in range(16))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = struct.pack(">4s4x4B", b"mft1", 4, 3, 2, 0) + identity + same * 4 + lattice + same * 3
    return tagged(b"CMYK", b"prtr", b"Lab ", {b"wtpt": WTPT, b"A2B0": lut, b"A2B1": lut})


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_follow_the_profile_of_their_printer(kind: str) -> None:
    inks = one_colour("CMYK", (255, 0, 0, 0))
    # Lightness 53.7 without a colour is this grey.
    grey = pixel(saved(inks, kind, icc_profile=printer((137, 128, 128))))
    assert grey == pytest.approx((128, 128, 128), abs=3)
    assert pixel(saved(inks, kind)) == inks.convert("RGB").getpixel((5, 5))


def test_lab_is_read() -> None:
    lab = ImageCms.profileToProfile(one_colour(), OURS_READ, ImageCms.createProfile("LAB"), outputMode="LAB")
    assert lab is not None
    assert pixel(saved(lab, "TIFF")) == pytest.approx(COLOUR, abs=3)


OURS_READ = ImageCms.ImageCmsProfile(io.BytesIO(OURS))


@pytest.mark.parametrize(
    "profile",
    [
        b"x",
        bytes(500),
        P3[:200],
        P3[:128] + bytes(len(P3) - 128),
        P3 + bytes(MAX_PROFILE_BYTES),
        printer((137, 128, 128)),
        P3.replace(b"mntr", b"link"),
        P3.replace(b"curv", b"\xff\xff\xff\xff"),
        P3[:128] + b"\xff\xff\xff\xff" + P3[132:],
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_profile_that_says_nothing_sound_is_taken_for_srgb(profile: bytes, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(one_colour(), kind, icc_profile=profile, **options)
    assert pixel(data) == COLOUR


def test_profile_longer_than_any_text_may_be_is_followed() -> None:
    padded = P3 + bytes(2 * 2**20)
    assert np.allclose(pixel(saved(one_colour(), "PNG", icc_profile=padded)), of_p3(COLOUR), atol=2)


def test_profile_whose_own_checksum_is_right_is_followed() -> None:
    data = saved(one_colour(), "PNG", icc_profile=P3)
    start = data.index(b"iCCP") + 4
    end = start + int.from_bytes(data[start - 8 : start - 4], "big")
    wrong = data[:end] + b"\1\2\3\4" + data[end + 4 :]
    assert np.allclose(pixel(wrong), of_p3(COLOUR), atol=2)


def cicp(primaries: int, transfer: int, rest: bytes = b"\0\1") -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer)) + rest)


def gama(power: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", power))


P3_MEASURED = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
SAYS_SRGB = chunk(b"sRGB", b"\0")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (cicp(12, 13), of_p3),
        (gama(45455) + P3_MEASURED, of_p3),
        (P3_MEASURED, of_p3),
        (gama(100_000), lambda _: (229, 182, 132)),
        (cicp(1, 8), lambda _: (229, 182, 132)),
        # What is said first counts, wherever it stands.
        (gama(100_000) + SAYS_SRGB, lambda colour: colour),
        (SAYS_SRGB + cicp(12, 13), of_p3),
        # What is the same, broken, or nothing that is known.
        (gama(45455), lambda colour: colour),
        (cicp(1, 13), lambda colour: colour),
        (cicp(9, 16), lambda colour: colour),
        (cicp(12, 13, b"\1\1"), lambda colour: colour),
        (cicp(12, 13, b""), lambda colour: colour),
        (gama(0), lambda colour: colour),
        (gama(2**31 - 1), lambda colour: colour),
        (chunk(b"gAMA", b""), lambda colour: colour),
        (chunk(b"cHRM", bytes(32)), lambda colour: colour),
        (chunk(b"cHRM", struct.pack(">8I", *[30_000] * 8)), lambda colour: colour),
        (chunk(b"cHRM", b"\xff" * 32), lambda colour: colour),
        (chunk(b"gAMA", struct.pack(">I", 100_000), crc=1), lambda colour: colour),
    ],
)
def test_what_a_png_says_of_its_colours_is_followed(
    said: bytes, expected: Callable[[tuple[int, int, int]], object]
) -> None:
    assert np.allclose(pixel(with_chunk(saved(one_colour(), "PNG"), said)), expected(COLOUR), atol=2)


def test_profile_counts_more_than_measures_and_less_than_codes() -> None:
    data = saved(one_colour(), "PNG", icc_profile=P3)
    assert np.allclose(pixel(with_chunk(data, gama(100_000))), of_p3(COLOUR), atol=2)
    assert np.allclose(pixel(with_chunk(data, cicp(1, 8))), (229, 182, 132), atol=2)
