"""An invisible watermark that means Easel: put into pictures, and found again in what has become of them.

One small square of faint noise is laid over the whole picture like tiles on a floor. To find it, what is fine in a
picture is folded onto one square, so that hundreds of copies add up while the picture itself averages out, and is
compared with the noise by phase alone at every shift, so that neither a crop nor contrast matters. The idea is that of
Kalker et al., "A video watermarking system for broadcast monitoring" (SPIE 3657, 1999).

The noise belongs to spatial frequencies that JPEG keeps, and means one word: it has no other payload.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, pad

WORD = "Easel"
AS_RECIPE: Mapping[str, Any] = {"method": "tiled noise, 64 pixels, version 1", "payload": WORD}

LEAST_SIDE = 256
"""Below, too few copies would lie side by side."""

TILE = 64
BAND = (3, 12)
"""Waves in one tile: below they could be seen, above JPEG drops them."""

STRENGTH = 1.6
"""Root mean square of the noise, of 255: a peak signal-to-noise ratio of 44 dB."""

THRESHOLD = 0.35
"""Of the phases' agreement, where 1 is perfect. The noise's 208 phases were drawn at random and know nothing of a
picture that does not bear it, so for each of the 4096 shifts the chance of agreeing that well is below
exp(-208 * 0.35**2): one picture in 28 million. (Chernoff's bound for a mean of cosines.)"""

SEARCHED_SIDE = 1024
"""Of a larger picture its middle is searched: more copies make nothing surer."""

PARTS = (8, 4)
"""Sides, in tiles, of the squares that are also searched each by itself: where only a part bears the mark, the rest
would drown it. They overlap by half."""

PART_THRESHOLD = 0.38
"""For each of them. A picture has 58 at most, and so many chances below 4096 * exp(-208 * 0.38**2) are together about
what one of them is at THRESHOLD."""

LEAST_ROOM = 96
"""Marked pixels by the root of all in what is searched, for a part of a picture to be marked: a whole one of the least
side has 256. Both the copies that add up and the chance that they must outdo grow so."""

SURROUNDINGS = 17
"""Pixels across, of what a pixel is compared with."""


def fits(picture: Image.Image, within: Image.Image | None = None) -> bool:
    """Whether a picture, or what is white of it in this mask, is large enough to bear the mark."""
    if min(picture.size) < LEAST_SIDE:
        return False
    if within is None:
        return True
    white = (torch.from_numpy(np.array(_middle(within))) > 0).double()
    return any(float(sums.sum((1, 2)).max()) >= LEAST_ROOM * size**0.5 for sums, size in _summed(white))


def embed(picture: Image.Image, within: Image.Image | None = None) -> Image.Image:
    """The RGB or RGBA picture with the mark in it; the same bytes for the same picture, transparency as it was.

    With a mask, L and of the same size, only what is white in it is marked: all else keeps every bit.
    """
    pixels = np.array(picture)
    white = None if within is None else np.array(within)[..., None] > 0
    noise = np.tile(_noise(), (1, picture.width // TILE + 1))[:, : picture.width, None]
    # In strips, so that the largest pictures take no second copy of themselves in wider numbers.
    for top in range(0, picture.height, TILE):
        strip = pixels[top : top + TILE, :, :3]
        marked = np.clip(strip.astype(np.int16) + noise[: len(strip)], 0, 255)
        np.copyto(strip, marked, casting="unsafe", where=True if white is None else white[top : top + TILE])
    return Image.fromarray(pixels)


def found(picture: Image.Image) -> bool:
    """Whether a picture or a part of it bears the mark, as far as one can tell: see THRESHOLD."""
    whole, *parts = _agreements(picture)
    return whole >= THRESHOLD or any(part >= PART_THRESHOLD for part in parts)


def agreement(picture: Image.Image) -> float:
    """How well a picture agrees with the mark at the best shift: 0.2 by chance, 0.9 for a fresh one, 1 at most."""
    return _agreements(picture)[0]


def _agreements(picture: Image.Image) -> list[float]:
    """That of the whole picture, then those of its parts."""
    spectrum = torch.fft.fft2(torch.from_numpy(_noise()).double())
    band = torch.from_numpy(_band())
    folded = torch.cat([sums for sums, _ in _summed(_fine(picture))])
    cross = torch.fft.fft2(folded) * spectrum.conj()
    phases = torch.where(band & (cross != 0), cross / cross.abs().clamp(min=1e-12), 0)
    best: list[float] = (torch.fft.ifft2(phases).real.amax((1, 2)) * TILE**2 / band.sum()).tolist()
    return best


def _fine(picture: Image.Image) -> torch.Tensor:
    """What is fine in the lightness of a picture's middle, evened out: float64."""
    lightness = torch.from_numpy(np.array(_middle(picture).convert("L"))).float()[None]
    fine = lightness - _around(lightness)
    # Where a picture is lively it drowns the mark, so it counts less there.
    return (fine / (_around(fine.abs()) + 1))[0].double()


def _middle(picture: Image.Image) -> Image.Image:
    left, top = (max(0, (side - SEARCHED_SIDE) // 2) for side in picture.size)
    return picture.crop((left, top, left + SEARCHED_SIDE, top + SEARCHED_SIDE)) if left or top else picture


def _summed(values: torch.Tensor) -> Iterator[tuple[torch.Tensor, int]]:
    """What lies under each other in the tiles of all and then of the parts, added up: parts x TILE x TILE, and of how
    many pixels each is."""
    rows, columns = (-(-side // TILE) for side in values.shape)
    whole = pad(values, (0, -values.shape[1] % TILE, 0, -values.shape[0] % TILE))
    tiles = whole.reshape(rows, TILE, columns, TILE).transpose(1, 2)
    yield tiles.sum((0, 1))[None], values.numel()
    for side in PARTS:
        high, wide = min(side, rows), min(side, columns)
        if (high, wide) != (rows, columns):
            parts = tiles.unfold(0, high, -(-high // 2)).unfold(1, wide, -(-wide // 2))
            yield parts.sum((-1, -2)).flatten(0, 1), high * wide * TILE**2


def _around(values: torch.Tensor) -> torch.Tensor:
    """The mean of each place's surroundings."""
    for size in ((SURROUNDINGS, 1), (1, SURROUNDINGS)):
        margin = (size[0] // 2, size[1] // 2)
        values = avg_pool2d(values, size, stride=1, padding=margin, count_include_pad=False)
    return values


def _band() -> npt.NDArray[np.bool_]:
    waves = np.fft.fftfreq(TILE, 1 / TILE)
    length = np.hypot(waves[:, None], waves)
    band: npt.NDArray[np.bool_] = (length >= BAND[0]) & (length <= BAND[1])
    return band


@functools.cache
def _noise() -> npt.NDArray[np.int16]:
    """One tile of the mark, in whole steps, so that adding it rounds nothing."""
    # Python promises that its generator draws the same numbers in every version.
    rng = random.Random(WORD)
    drawn = np.array([[rng.random() for _ in range(TILE)] for _ in range(TILE)])
    spectrum = np.fft.fft2(drawn)
    waves = np.fft.ifft2(np.where(_band(), spectrum / np.abs(spectrum), 0)).real
    steps: npt.NDArray[np.int16] = np.rint(waves * (STRENGTH / waves.std())).astype(np.int16)
    return steps
