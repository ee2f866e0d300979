"""Rendered scenes as tensors: what every stage trains on, made again from the seed on any machine."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from starter.pen import PAINT, mix
from starter.render import layout, render
from starter.world import COLOURS, HELD_OUT, LORA_STYLE, SIZES, Scene


def sample_scenes(
    number: int,
    seed: int,
    *,
    counts: Sequence[int] = (1, 2, 3),
    sizes: Sequence[str] = SIZES,
    held_out: bool = False,
    word_share: float = 0.0,
    neon_share: float = 0.0,
    blend_share: float = 0.0,
) -> list[Scene]:
    """`number` scenes from the seed; see Scene.sample for what the other words mean.

    `neon_share` of them are in the LoRA's style instead of their own, `blend_share` in a colour that no word names.
    """
    rng = random.Random(seed)
    scenes = [
        Scene.sample(rng, counts=counts, sizes=sizes, held_out=held_out, word_share=word_share) for _ in range(number)
    ]
    neon, blended = round(number * neon_share), round(number * blend_share)
    scenes[:neon] = [replace(scene, style=LORA_STYLE) for scene in scenes[:neon]]
    scenes[number - blended :] = [_blended(scene, rng) for scene in scenes[number - blended :]]
    return scenes


def _blended(scene: Scene, rng: random.Random) -> Scene:
    return replace(scene, blend=blend_of(scene.thing, scene.colour, rng, HELD_OUT))


def blend_of(thing: str, colour: str, rng: random.Random, held_out: frozenset[tuple[str, str]]) -> str:
    """A second colour to mix with the thing's own, never so that the mixture comes near a held-out colour."""
    while True:
        blend = rng.choice([other for other in COLOURS if other != colour])
        mixture = np.array(mix(PAINT[colour], PAINT[blend], 0.5))
        near = sorted(COLOURS, key=lambda other: float(np.square(mixture - PAINT[other]).sum()))[:2]
        if held_out.isdisjoint((thing, other) for other in (blend, *near)):
            return blend


def render_all(scenes: Iterable[Scene], size: int) -> torch.Tensor:
    """The scenes painted: uint8, (n, 3, size, size)."""
    pictures = [np.asarray(render(scene, size)) for scene in scenes]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def things_mask(scenes: Sequence[Scene], grid: int) -> torch.Tensor:
    """Where the things stand, as boxes on a grid over the picture: bool, (n, 1, grid, grid)."""
    mask = torch.zeros(len(scenes), 1, grid, grid, dtype=torch.bool)
    for number, scene in enumerate(scenes):
        for spot in layout(scene):
            x0, x1 = round((spot.x - spot.reach) * grid), round((spot.x + spot.reach) * grid)
            y0, y1 = round((spot.y - spot.reach) * grid), round((spot.y + spot.reach) * grid)
            mask[number, 0, max(0, y0) : y1, max(0, x0) : x1] = True
    return mask


def to_signed(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as floats from -1 to 1, the range of the picture model's VAE."""
    return pictures.float().div_(127.5).sub_(1.0)
