"""Painted tableaux as tensors, and where their things and signs are: what the next set's stages train on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torchvision.transforms.functional import pil_to_tensor  # type: ignore[import-untyped]

from starter.answers import Box
from starter.next.render import arrange, render_tableau
from starter.next.signs import sign_box
from starter.next.tableau import HELD_OUT, Tableau
from starter.train.pictures import blend_of
from starter.world import LORA_STYLE, SIZES

# So much more than things do signs count: few cells say which letters stand there, and in which order.
SPELT = 2.0


def sample_tableaux(
    number: int,
    seed: int,
    *,
    kinds: Sequence[int] = (1, 2, 3),
    counts: Sequence[int] = (1, 2, 3),
    sizes: Sequence[str] = SIZES,
    held_out: bool = False,
    word_share: float = 0.0,
    weather_share: float = 0.25,
    neon_share: float = 0.0,
    blend_share: float = 0.0,
    aligned: bool = False,
) -> list[Tableau]:
    """`number` tableaux from the seed; see Tableau.sample for what the other words mean.

    `neon_share` of them are in the LoRA's style instead, and `blend_share`, evenly spread, show colours that no word
    names; in `aligned` ones things stand in whole cells. But for the neon ones more of them begin with the same, so
    that what was made of these can be kept.
    """
    rng = random.Random(seed)
    drawn = [
        Tableau.sample(
            rng,
            kinds=kinds,
            counts=counts,
            sizes=sizes,
            held_out=held_out,
            word_share=word_share,
            weather_share=weather_share,
        )
        for _ in range(number)
    ]
    neon = round(number * neon_share)
    drawn = [replace(tableau, aligned=aligned) for tableau in drawn]
    drawn[:neon] = [replace(tableau, style=LORA_STYLE) for tableau in drawn[:neon]]
    # Of 200 pictures with a share of 0.2 the 5th is one, the 10th, and so on.
    blended = [int((place + 1) * blend_share + 1e-9) > int(place * blend_share + 1e-9) for place in range(number)]
    return [_blended(tableau) if blend else tableau for tableau, blend in zip(drawn, blended, strict=True)]


def _blended(tableau: Tableau) -> Tableau:
    rng = random.Random(tableau.seed)
    subjects = (replace(s, blend=blend_of(s.thing, s.colour, rng, HELD_OUT)) for s in tableau.subjects)
    return replace(tableau, subjects=tuple(subjects))


def paint_all(tableaux: Sequence[Tableau], side: int = 128) -> torch.Tensor:
    """The tableaux painted: uint8, (n, 3, side, side)."""
    return torch.stack([pil_to_tensor(render_tableau(tableau, side)) for tableau in tableaux])


def mark_of(tableaux: Sequence[Tableau]) -> str:
    """What tells these tableaux from others."""
    return hashlib.sha256(repr(list(tableaux)).encode()).hexdigest()


def keep_pictures(path: Path, tableaux: Sequence[Tableau], side: int = 128) -> torch.Tensor:
    """As `paint_all`; from the file if it is there and shows these very tableaux, else painted and written to it."""
    mark = f"{side} {mark_of(tableaux)}"
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if isinstance(kept, dict) and kept["mark"] == mark:
            pictures: torch.Tensor = kept["pictures"]
            return pictures
    painted = paint_all(tableaux, side)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"pictures": painted, "mark": mark}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
    return painted


def boxes_of(tableau: Tableau) -> list[Box]:
    """Where its things are, and its sign if it has one: left, top, right and bottom as shares of the side."""
    boxes = [(s.x - s.reach, s.y - s.reach, s.x + s.reach, s.y + s.reach) for s in arrange(tableau)]
    if tableau.word is not None:
        boxes.append(sign_box(tableau.word, 1))
    return boxes


def shown_mask(tableaux: Sequence[Tableau], grid: int) -> torch.Tensor:
    """Where things and signs are on a grid over the picture: (n, 1, grid, grid), 1 for a thing and SPELT for a sign."""
    mask = torch.zeros(len(tableaux), 1, grid, grid)
    for number, tableau in enumerate(tableaux):
        boxes = boxes_of(tableau)
        for place, (left, top, right, bottom) in enumerate(boxes):
            is_sign = tableau.word is not None and place == len(boxes) - 1
            rows = slice(max(0, round(top * grid)), round(bottom * grid))
            mask[number, 0, rows, max(0, round(left * grid)) : round(right * grid)] = SPELT if is_sign else 1.0
    return mask
