"""Rendered scenes as tensors: what every stage trains on, made again from the seed on any machine."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from starter.render import render
from starter.world import SIZES, Scene


def sample_scenes(
    number: int,
    seed: int,
    *,
    counts: Sequence[int] = (1, 2, 3),
    sizes: Sequence[str] = SIZES,
    held_out: bool = False,
    word_share: float = 0.0,
) -> list[Scene]:
    """`number` scenes from the seed; see Scene.sample for what the other words mean."""
    rng = random.Random(seed)
    return [
        Scene.sample(rng, counts=counts, sizes=sizes, held_out=held_out, word_share=word_share) for _ in range(number)
    ]


def render_all(scenes: Iterable[Scene], size: int) -> torch.Tensor:
    """The scenes painted: uint8, (n, 3, size, size)."""
    pictures = [np.asarray(render(scene, size)) for scene in scenes]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def to_signed(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as floats from -1 to 1, the range of the picture model's VAE."""
    return pictures.float().div_(127.5).sub_(1.0)
