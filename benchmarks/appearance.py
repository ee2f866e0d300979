"""How far pictures look different after a faint change: signal-to-noise ratio, structural similarity, and S-CIELAB.

For S-CIELAB each picture is blurred in opponent colours as much as the eye blurs it, and the two are compared in
CIELAB, where a difference of 1 is about what can just be noticed: Zhang and Wandell, "A spatial extension of CIELAB for
digital color image reproduction" (Journal of the SID 5(1), 1997), with the numbers of their `scielab.m`. Nothing hides
what is beside it there: the figure is fair where a picture is calm and too strict elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import fourier_gaussian  # type: ignore[import-untyped]
from skimage.color import rgb2xyz, xyz2lab
from skimage.metrics import structural_similarity

from inference.marks import visibility

OPPONENT = np.array([[0.2787, 0.7218, -0.1066], [-0.4488, 0.2898, 0.0772], [0.0860, -0.5900, 0.5011]])
"""From XYZ: light against dark, red against green, blue against yellow."""

BLURS = (
    ((0.9207, 0.05), (0.105, 0.225), (-0.108, 7.0)),
    ((0.5310, 0.0685), (0.33, 0.826)),
    ((0.4877, 0.092), (0.3711, 0.6451)),
)
"""Of each of these: Gaussians by weight and full width at half maximum, in degrees."""

WIDTH = 2 * (2 * np.log(2)) ** 0.5
"""That of a Gaussian at half its maximum, in standard deviations."""


SCREEN, ENLARGED = 60, 30
"""Pixels a degree: a common screen from 55 cm, and the same with pictures enlarged twice."""

CALM = 1.5
"""Steps of activity up to which a place counts as calm, as skies and backgrounds are."""


def means(before: Sequence[Image.Image], after: Sequence[Image.Image]) -> Mapping[str, float]:
    """Over these pairs: PSNR (dB), SSIM, and the share of places that differ by more than can just be noticed, of all
    places and of calm ones, on a screen and enlarged twice. PSNR also at its least."""
    pairs = [figures(*pair) for pair in zip(before, after, strict=True)]
    means = {what: float(np.nanmean([each[what] for each in pairs])) for what in pairs[0]}
    return {"least psnr": min(each["psnr"] for each in pairs), **means}


def figures(before: Image.Image, after: Image.Image) -> Mapping[str, float]:
    """Those of one pair; that of calm places is not a number where there are none."""
    old, new = (np.asarray(picture.convert("RGB")) for picture in (before, after))
    squares = np.square(old.astype(float) - new)
    calm = visibility.activity(visibility.lightness(before)) <= CALM * visibility.ONE
    seen = {name: difference(before, after, rate) > 1 for name, rate in (("seen", SCREEN), ("seen at 2x", ENLARGED))}
    return {
        "psnr": 10 * math.log10(255**2 / max(float(squares.mean()), 1e-9)),
        "ssim": float(structural_similarity(old, new, channel_axis=2)),  # type: ignore[no-untyped-call]
        **{name: float(where.mean()) for name, where in seen.items()},
        **{f"{name}, calm": float(where[calm].mean()) if calm.any() else math.nan for name, where in seen.items()},
    }


def difference(before: Image.Image, after: Image.Image, pixels_per_degree: float) -> npt.NDArray[np.float64]:
    """At each place, in units of CIELAB."""
    seen = (_seen(picture, pixels_per_degree) for picture in (before, after))
    return np.asarray(np.linalg.norm(next(seen) - next(seen), axis=-1))


def _seen(picture: Image.Image, pixels_per_degree: float) -> npt.NDArray[np.float64]:
    opponent = rgb2xyz(np.asarray(picture.convert("RGB"))) @ OPPONENT.T
    for channel, blurs in enumerate(BLURS):
        waves, total = np.fft.fft2(opponent[..., channel]), sum(weight for weight, _ in blurs)
        blurred = sum(
            weight / total * fourier_gaussian(waves, width / WIDTH * pixels_per_degree) for weight, width in blurs
        )
        opponent[..., channel] = np.fft.ifft2(blurred).real
    return np.asarray(xyz2lab(np.clip(opponent @ np.linalg.inv(OPPONENT).T, 0, None)))
