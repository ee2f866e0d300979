"""The noise that a picture starts from: a function of the request alone, whatever device and batch paint it."""

from __future__ import annotations

import torch

from inference.protocol import Imagine

PARALLEL = 0.9995
"""Cosine above which two noises count as parallel, and the arc between them as straight."""


def draw(request: Imagine, index: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Generator]:
    """The noise of the picture `index` of a request, and the generator for what its sampler draws later.

    The noise is float32 of this shape, on the CPU, with standard deviation 1. The generator is the one the noise of
    `request.seed` came from, so that a variation of strength 0 is its original even where the sampler draws too.
    """
    if not request.variations:
        return _gaussian(request.seed_of(index), shape)
    noise, generator = _gaussian(request.seed, shape)
    last = len(request.variations) - 1
    for place, variation in enumerate(request.variations):
        seed = request.seed_of(index) if place == last else variation.seed
        noise = slerp(noise, _gaussian(seed, shape)[0], variation.strength)
    return noise, generator


def slerp(start: torch.Tensor, end: torch.Tensor, strength: float) -> torch.Tensor:
    """The point at `strength` (0 to 1) of the arc from one noise to another, which keeps the length of noise.

    The ends are exact: 0 gives `start` and 1 gives `end` bit for bit. (Shoemake, Animating Rotation, 1985.)
    """
    if strength == 0:
        return start
    if strength == 1:
        return end
    # In float64, so that the order in which threads add up the cosine is rounded away again.
    a, b = start.double(), end.double()
    cosine = (a * b).sum() / (a.norm() * b.norm())
    if cosine.abs() > PARALLEL:
        return torch.lerp(a, b, strength).float()
    angle = torch.acos(cosine)
    arc = (torch.sin((1 - strength) * angle) * a + torch.sin(strength * angle) * b) / torch.sin(angle)
    return arc.float()


def _gaussian(seed: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Generator]:
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32), generator
