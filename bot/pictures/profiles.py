"""Colour profiles of files: whatever says what their numbers mean becomes an ICC profile here.

A PNG says it in four ways, in the order in which they count: by codes of ITU-T H.273 (cICP), by a profile (iCCP), as
sRGB, by measured colours and the power of their curve (cHRM, gAMA). A HEIC has a profile or such codes, all others have
a profile. Nothing is decoded; `colours` puts profiles to use.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

from PIL import Image

from bot.pictures import containers

Point = tuple[float, float]
"""A chromaticity, x and y."""

Vector = tuple[float, float, float]
Curve = Callable[[float], float]
"""From a number in a file to light, both from 0 to 1."""

D65: Point = (0.3127, 0.329)
D50: Vector = (0.9642, 1.0, 0.8249)
"""The white that ICC profiles are about, as XYZ."""

SRGB: tuple[Point, Point, Point] = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
PRIMARIES: Mapping[int, tuple[Point, Point, Point]] = {
    1: SRGB,
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
"""Codes of H.273: BT.709, which are sRGB's, BT.2020, and those of P3 displays; all under D65."""

BRADFORD: tuple[Vector, Vector, Vector] = (
    (0.8951, 0.2664, -0.1614),
    (-0.7502, 1.7135, 0.0367),
    (0.0389, -0.0685, 1.0296),
)
"""From XYZ to the responses of the eye's cones, in which one white is made another."""

GAMMA_OF_SRGB = 45_455
NEAR_SRGB = 1_000
"""Programs write this power where they mean sRGB, whose curve is none; so do browsers take it."""

LEAST_GAMMA, MOST_GAMMA = 10_000, 500_000
CURVE_POINTS = 1024


def of_file(picture: Image.Image, data: bytes) -> bytes | None:
    """The profile of an opened file; None where its numbers are sRGB, or nothing sound says what they are."""
    if picture.format == "PNG":
        return _of_png(data)
    profile = picture.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return profile
    codes = picture.info.get("nclx_profile")
    return _coded(codes["color_primaries"], codes["transfer_characteristics"]) if isinstance(codes, dict) else None


def _of_png(data: bytes) -> bytes | None:
    chunks = containers.before_pixels(data)
    coded = _of_codes(chunks.get(b"cICP", b""))
    if coded is not None:
        return coded
    if (profile := containers.profile(chunks.get(b"iCCP", b""))) is not None:
        return profile
    if b"sRGB" in chunks:
        return None
    return _of_measures(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def matrix(primaries: Sequence[Point], white: Point, curve: Curve) -> bytes:
    """The ICC profile of a display with these colours, the same curve for each. Raises ZeroDivisionError where they
    span nothing."""
    tags = {b"wtpt": _xyz(D50)}
    tags |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, _columns(primaries, white)), strict=True))
    points = (curve(number / (CURVE_POINTS - 1)) for number in range(CURVE_POINTS))
    values = [min(65_535, max(0, round(point * 65_535))) for point in points]
    tags |= dict.fromkeys(
        (b"rTRC", b"gTRC", b"bTRC"), struct.pack(f">4sII{CURVE_POINTS}H", b"curv", 0, len(values), *values)
    )
    place = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, place + len(bodies), len(body))
        bodies += body
    head = struct.pack(
        ">II4s4s4s4s12x4s28x3i48x",
        *(place + len(bodies), 0, b"\x02\x10\0\0", b"mntr", b"RGB ", b"XYZ ", b"acsp"),
        *(round(part * 65_536) for part in D50),
    )
    return head + table + bodies


def srgb(number: float) -> float:
    """The curve of IEC 61966-2-1."""
    return number / 12.92 if number <= 0.04045 else ((number + 0.055) / 1.055) ** 2.4


def _of_codes(body: bytes) -> bytes | None:
    """Of what cICP says; None where that is nothing that is known here, as the curves of televisions are."""
    return _coded(body[0], body[1]) if len(body) == 4 and body[2:] == b"\0\1" else None


def _coded(primaries: int, transfer: int) -> bytes | None:
    if primaries not in PRIMARIES or transfer not in CURVES:
        return None
    return matrix(PRIMARIES[primaries], D65, CURVES[transfer])


def _of_measures(gamma: bytes, colours: bytes) -> bytes | None:
    power = int.from_bytes(gamma, "big") if len(gamma) == 4 else GAMMA_OF_SRGB
    if not LEAST_GAMMA <= power <= MOST_GAMMA or not (gamma or colours):
        return None
    curve = srgb if abs(power - GAMMA_OF_SRGB) <= NEAR_SRGB else lambda number: number ** (100_000 / power)
    if len(colours) != 32:
        return matrix(SRGB, D65, curve)
    x, y = ([value / 100_000 for value in struct.unpack(">8I", colours)[first::2]] for first in (0, 1))
    white, *primaries = zip(x, y, strict=True)
    if not all(0 < y < 1 and x + y <= 1 for x, y in (white, *primaries)):
        return None
    try:
        return matrix(primaries, white, curve)
    except (ZeroDivisionError, struct.error):
        return None


CURVES: Mapping[int, Curve] = {
    1: srgb,
    4: lambda number: number**2.2,
    6: srgb,
    8: lambda number: number,
    13: srgb,
}
"""Codes of H.273. What is said to have a television's curve is made for displays all the same."""


def _columns(primaries: Sequence[Point], white: Point) -> list[Vector]:
    """XYZ of the three colours at full, under D50."""
    lights = [_light(point) for point in primaries]
    whole = _light(white)
    # So much of each that they make white together.
    amounts = _solved(lights, whole)
    change = [after / before for after, before in zip(_times(BRADFORD, D50), _times(BRADFORD, whole), strict=True)]
    adapted = []
    for light, amount in zip(lights, amounts, strict=True):
        cones = [part * factor for part, factor in zip(_times(BRADFORD, light), change, strict=True)]
        x, y, z = _solved(tuple(zip(*BRADFORD, strict=True)), (cones[0], cones[1], cones[2]))
        adapted.append((x * amount, y * amount, z * amount))
    return adapted


def _light(point: Point) -> Vector:
    x, y = point
    return x / y, 1.0, (1 - x - y) / y


def _times(rows: Sequence[Vector], vector: Vector) -> list[float]:
    return [sum(one * other for one, other in zip(row, vector, strict=True)) for row in rows]


def _solved(columns: Sequence[Vector], result: Vector) -> list[float]:
    """How much of each column makes up the result (Cramer's rule)."""
    whole = _determinant(columns)
    return [
        _determinant([result if number == place else column for number, column in enumerate(columns)]) / whole
        for place in range(3)
    ]


def _determinant(columns: Sequence[Vector]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = columns
    return a * (e * i - f * h) - d * (b * i - c * h) + g * (b * f - c * e)


def _xyz(vector: Sequence[float]) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(part * 65_536) for part in vector))
