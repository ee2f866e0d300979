"""How much of a faint noise a picture hides at each of its places: what the eye overlooks, in whole numbers.

A just-noticeable-difference profile after Chou and Li, "A perceptually tuned subband image coder based on the measure
of just-noticeable-distortion profile" (IEEE Trans. Circuits and Systems for Video Technology 5(6), 1995): what hides a
change is what goes on around it, in proportion, and how light the place is. Their dark places hide most, as they did
on a cathode-ray tube in a lit room; on today's screens it is there that grain shows, so here both ends hide least.

Everything is computed in whole numbers: the same picture gives the same profile on any machine, with any number of
threads. What is laid into a picture is not for this module to know.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Whole = npt.NDArray[np.int32]

ONE = 1024
"""One step of 255, in this module's unit of strength."""

FLAT = 614
"""What a flat place hides, as a root mean square: 0.6 steps."""

MOST = 3584
"""And the liveliest: 3.5 steps. Beyond, noise shows beside edges."""

SHARE = 460
"""Of its own activity a place hides so much where there is little room: 0.45."""

LEAST_SHARE = 51
"""And so much, 0.05, where all of the picture is lively."""

LIVELY = 4
"""Steps of mean activity from which a place counts as room."""

NEEDED = 12_000
"""Pixels of room, with SHARE of whose activity a mark outlives strong compression. More of them need less each."""

AT_LIGHTNESS = np.minimum(np.minimum(np.arange(256), 255 - np.arange(256)) + 24, 48).astype(np.int32)
"""How much of that a place hides, by its lightness: half at black and at white, all of it from 24 steps on."""

FINE, LOCAL = 9, 5
"""Pixels across: of what a pixel is compared with, and over which activity is averaged."""

MARGIN = FINE // 2 + LOCAL // 2
"""Pixels around a place that its activity depends on."""


def lightness(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """That of an RGB or RGBA picture, of 255."""
    return np.array(picture.convert("L"))


def activity(light: npt.NDArray[np.uint8]) -> Whole:
    """How much goes on around each place: the mean difference from what surrounds it, in steps times ONE."""
    fine = np.abs(light * np.int32(FINE**2) - _sums(light, FINE))
    return _sums(fine, LOCAL) * ONE // (FINE**2 * LOCAL**2)


def share(active: Whole, within: npt.NDArray[np.bool_] | None = None) -> int:
    """Of its activity, in parts of ONE, what each place should hide, for the whole of them to hide enough."""
    lively = active >= LIVELY * ONE
    room = int(np.count_nonzero(lively if within is None else lively & within))
    return min(max(math.isqrt(SHARE**2 * NEEDED // max(room, 1)), LEAST_SHARE), SHARE)


def hidden(light: npt.NDArray[np.uint8], active: Whole, hiding: int) -> Whole:
    """The root mean square of noise that each place hides, in steps times ONE, if it hides this share."""
    strength = np.minimum(FLAT + active * hiding // ONE, MOST)
    hiding_there: Whole = strength * AT_LIGHTNESS[light] // int(AT_LIGHTNESS[128])
    return hiding_there


def _sums(values: npt.NDArray[Any], across: int) -> Whole:
    """Of the square around each place; edges are repeated outwards."""
    square = (across, across)
    return np.asarray(cv2.boxFilter(values, cv2.CV_32S, square, normalize=False, borderType=cv2.BORDER_REPLICATE))
