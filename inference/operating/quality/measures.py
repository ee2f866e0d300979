"""The formulas: what is computed of pictures, of what networks see in them, and of pairs of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

# Through the shim that basicsr needs.
from inference.networks import upscaler  # noqa: F401
from inference.silence import silenced

with silenced():
    from basicsr.metrics.niqe import calculate_niqe
    from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim

NIQE_BLOCK = 96
"""NIQE compares blocks of so many pixels, and needs two of them at least."""


def niqe(picture: Image.Image) -> float | None:
    """How little this looks like an untouched photograph, from about 2 upwards; None where it cannot be told.

    (Mittal et al., Making a "Completely Blind" Image Quality Analyzer, 2013.) Too small a picture has too few blocks,
    and one colour all over has no statistics.
    """
    if (picture.width // NIQE_BLOCK) * (picture.height // NIQE_BLOCK) < 2:
        return None
    bgr = np.asarray(picture.convert("RGB"))[..., ::-1]
    try:
        with silenced(), np.errstate(all="ignore"):
            value = float(calculate_niqe(bgr, crop_border=0))
    except np.linalg.LinAlgError:
        return None
    return value if math.isfinite(value) else None


def frechet(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The squared Fréchet distance of two normal distributions, as fitted to features of pictures, (n, d) and (m, d).

    (Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017.) The trace of the root of the product of both
    covariances is the nuclear norm of what their centred samples make with each other, so that no d by d matrix is
    taken apart.
    """
    one, other = ours.double(), theirs.double()
    apart = (one.mean(0) - other.mean(0)).square().sum()
    # Their triangles make the same with each other, and are no larger than the features.
    one, other = (torch.linalg.qr(each - each.mean(0), mode="r").R for each in (one, other))
    spread = one.square().sum() / (len(ours) - 1) + other.square().sum() / (len(theirs) - 1)
    common = torch.linalg.matrix_norm(one @ other.T, ord="nuc") / math.sqrt((len(ours) - 1) * (len(theirs) - 1))
    return max(0.0, float(apart + spread - 2 * common))


def inception_score(shares: torch.Tensor) -> float:
    """Of the shares of kinds of things in pictures, (n, kinds): high where each shows one kind, and all many.

    (Salimans et al., Improved Techniques for Training GANs, 2016.) At most the number of pictures, or of kinds.
    """
    each = shares.double().clamp_min(1e-12)
    together = each.mean(0, keepdim=True)
    return float((each * (each / together).log()).sum(1).mean().exp())


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """A picture as numbers, (height, width, 3)."""
    return np.asarray(picture.convert("RGB"))


def psnr(one: Image.Image, other: Image.Image) -> float:
    """The ratio of the brightest to the difference of two pictures of one size in dB; infinite for the same picture."""
    return float(calculate_psnr(pixels(one), pixels(other), crop_border=0))


def ssim(one: Image.Image, other: Image.Image) -> float:
    """How alike the structure of two pictures of one size is, 1 for the same. (Wang et al., 2004.)"""
    return float(calculate_ssim(pixels(one), pixels(other), crop_border=0))


def stacked(features: Iterable[torch.Tensor]) -> torch.Tensor:
    """One row for each picture."""
    return torch.stack([each.float().cpu() for each in features])
