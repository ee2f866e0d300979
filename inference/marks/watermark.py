"""An invisible watermark that means Easel: put into pictures, and found again in what has become of them.

One small square of noise is laid over the whole picture like tiles on a floor, everywhere as strongly as the picture
hides it (`visibility`). To find it, what is fine in a picture is folded onto one square, so that hundreds of copies add
up while the picture itself averages out, and is compared with the noise by phase at every shift, so that neither a crop
nor contrast matters. The idea is that of Kalker et al., "A video watermarking system for broadcast monitoring"
(SPIE 3657, 1999).

The noise belongs to spatial frequencies that JPEG keeps, and means one word: it has no other payload. Everything is
done without torch, so that pictures are marked also where there is none.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.marks import visibility

WORD = "Easel"
AS_RECIPE: Mapping[str, Any] = {"method": "tiled noise, 64 pixels, version 2", "payload": WORD}
"""Version 1 was this noise at one strength everywhere. So whatever bears it is found as well, for as long as the noise
stays this one, and what found version 1 finds this."""

LEAST_SIDE = 256
"""Below, too few copies would lie side by side."""

TILE = 64
BAND = (3, 12)
"""Waves in one tile: below they could be seen, above JPEG drops them."""

FRACTION = 16
"""Bits of the noise's whole numbers that stand behind the point."""

EVIDENCE = 18.1
"""What is asked for, as a logarithm. The noise's 208 phases were drawn at random and know nothing of a picture that
does not bear it, so a weighted sum of their cosines exceeds s with a chance below exp(-s**2 / squares), whatever the
weights whose squares add up to these (Chernoff). Taken off that exponent is the logarithm of how often one may be
lucky: where the noise was laid or at 4096 shifts, in the whole or in 58 parts at most. So there are four chances below
exp(-18.1), together one picture in 18 million."""

SEARCHED_SIDE = 1024
"""Of a larger picture its middle is searched: more copies make nothing surer."""

PARTS = (8, 4)
"""Sides, in tiles, of the squares that are also searched each by itself: where only a part bears the mark, the rest
would drown it. They overlap by half."""

LEAST_ROOM = 96
"""Marked pixels by the root of all in what is searched, for a part of a picture to be marked: a whole one of the least
side has 256. Both the copies that add up and the chance that they must outdo grow so."""

ALIKE = 14.0
"""Steps by which pixels of one thing differ: what differs by more is another thing's."""


def fits(picture: Image.Image, within: Image.Image | None = None) -> bool:
    """Whether a picture, or what is white of it in this mask, is large enough to bear the mark."""
    if min(picture.size) < LEAST_SIDE:
        return False
    if within is None:
        return True
    white = (np.array(_middle(within)) > 0).astype(np.float64)
    return any(float(sums.sum((1, 2)).max()) >= LEAST_ROOM * size**0.5 for sums, size in _summed(white))


def embed(picture: Image.Image, within: Image.Image | None = None) -> Image.Image:
    """The RGB or RGBA picture with the mark in it; the same bytes for the same picture, transparency as it was.

    With a mask, L and of the same size, only what is white in it is marked: all else keeps every bit.
    """
    pixels = np.array(picture)
    white = None if within is None else np.array(within) > 0
    noise = np.tile(_noise(), (1, picture.width // TILE + 1))[:, : picture.width]
    searched = visibility.activity(visibility.lightness(_middle(picture)))
    share = visibility.share(searched, None if within is None else np.array(_middle(within)) > 0)
    light = visibility.lightness(picture)
    # In strips, so that the largest pictures take no second copy of themselves in wider numbers.
    for top in range(0, picture.height, TILE):
        rows, above = slice(top, top + TILE), min(top, visibility.MARGIN)
        around = light[top - above : top + TILE + visibility.MARGIN]
        active = visibility.activity(around)[above : above + TILE]
        strength = visibility.hidden(light[rows], active, share)
        scale = visibility.ONE << FRACTION
        change = (noise[: len(strength)] * strength + scale // 2) // scale
        strip = pixels[rows, :, :3]
        marked = np.clip(strip + change[..., None], 0, 255)
        np.copyto(strip, marked, casting="unsafe", where=True if white is None else white[rows, :, None])
    return Image.fromarray(pixels)


def found(picture: Image.Image) -> bool:
    """Whether a picture or a part of it bears the mark, as far as one can tell: see EVIDENCE."""
    return evidence(picture) >= EVIDENCE


def evidence(picture: Image.Image) -> float:
    """How much speaks for the mark: of unmarked pictures one in exp(this) / 4 reaches so much by chance, or fewer."""
    spectrum = np.fft.fft2(_noise().astype(np.float64))
    sums = np.concatenate([sums for sums, _ in _summed(_fine(picture))])
    cross = np.fft.fft2(sums) * spectrum.conj() * _band()
    # What compression has left of a wave says how far its phase can be trusted.
    phases = cross / np.sqrt(np.maximum(np.abs(cross), 1e-12))
    squares = np.maximum(np.square(np.abs(phases)).sum((1, 2), keepdims=True), 1e-12)
    # Each wave stands there twice, once conjugated, so half of either sum counts.
    exponents = np.square(np.maximum(np.fft.ifft2(phases).real * TILE**2, 0)) / squares / 2
    top, left = (-begin % TILE for begin in _corner(picture))
    best = []
    for group in (exponents[:1], exponents[1:]):
        if len(group):
            luck = math.log(len(group))
            best += [float(group[:, top, left].max()) - luck, float(group.max()) - luck - math.log(TILE**2)]
    return max(best)


def _fine(picture: Image.Image) -> npt.NDArray[np.float64]:
    """What is fine in the lightness of a picture's middle, evened out."""
    lightness = np.array(_middle(picture).convert("L")).astype(np.float32)
    # Compared with what is like it alone: an edge would drown what lies beside it.
    alike = cv2.bilateralFilter(lightness, 7, ALIKE, 7.0)
    fine = lightness - alike
    # Where a picture is lively it drowns the mark, so it counts less there.
    around, pixels = (_around(each) for each in (np.abs(fine), np.ones_like(fine)))
    return (fine / (around / pixels + 1)).astype(np.float64)


def _around(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The sum of what lies around each pixel, within the picture."""
    return np.asarray(cv2.boxFilter(values, -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT))


def _corner(picture: Image.Image) -> tuple[int, int]:
    """Where the middle begins: rows, columns."""
    return max(0, (picture.height - SEARCHED_SIDE) // 2), max(0, (picture.width - SEARCHED_SIDE) // 2)


def _middle(picture: Image.Image) -> Image.Image:
    top, left = _corner(picture)
    return picture.crop((left, top, left + SEARCHED_SIDE, top + SEARCHED_SIDE)) if left or top else picture


def _summed(values: npt.NDArray[np.float64]) -> Iterator[tuple[npt.NDArray[np.float64], int]]:
    """What lies under each other in the tiles of all and then of the parts, added up: parts x TILE x TILE, and of how
    many pixels each is."""
    rows, columns = (-(-side // TILE) for side in values.shape)
    whole = np.pad(values, [(0, -side % TILE) for side in values.shape])
    tiles = whole.reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
    yield tiles.sum((0, 1))[None], values.size
    for side in PARTS:
        high, wide = min(side, rows), min(side, columns)
        if (high, wide) != (rows, columns):
            parts = np.lib.stride_tricks.sliding_window_view(tiles, (high, wide), axis=(0, 1))
            parts = parts[:: -(-high // 2), :: -(-wide // 2)]
            yield parts.sum((-1, -2)).reshape(-1, TILE, TILE), high * wide * TILE**2


def _band() -> npt.NDArray[np.bool_]:
    waves = np.fft.fftfreq(TILE, 1 / TILE)
    length = np.hypot(waves[:, None], waves)
    band: npt.NDArray[np.bool_] = (length >= BAND[0]) & (length <= BAND[1])
    return band


@functools.cache
def _noise() -> npt.NDArray[np.int32]:
    """One tile of the mark, its root mean square 1, in whole numbers with FRACTION bits behind the point."""
    # Python promises that its generator draws the same numbers in every version.
    rng = random.Random(WORD)
    drawn = np.array([[rng.random() for _ in range(TILE)] for _ in range(TILE)])
    spectrum = np.fft.fft2(drawn)
    waves = np.fft.ifft2(np.where(_band(), spectrum / np.abs(spectrum), 0)).real
    noise: npt.NDArray[np.int32] = np.rint(waves * (2**FRACTION / waves.std())).astype(np.int32)
    return noise
