"""`python -m starter.next.sheet [NAME ...]`: contact sheets of the next set, to be looked at: build/sheets/next.

kept: held-out tableaux, what the VAE leaves of them, and what today's set would. pictures: prompts of every kind.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.transforms.functional import to_pil_image  # type: ignore[import-untyped]

from starter.next.figures import todays_path
from starter.next.pictures import paint_all, sample_tableaux
from starter.next.prompts import KINDS as ASKED
from starter.next.prompts import fixed_prompts
from starter.next.stages import NEXT_MODELS, load_next_vae
from starter.next.vae import through
from starter.painter import load_picture, paint
from starter.sheet import SHEETS, Cell, Kinds, draw_from_words
from starter.train.pictures import to_signed


@torch.no_grad()
def kept(models: Path) -> tuple[int, list[Cell]]:
    """Sixteen tableaux, each as it was drawn, after the VAE, and after today's path."""
    wanted = to_signed(paint_all(sample_tableaux(16, seed=990_102, kinds=(1, 2, 3), word_share=0.2)))
    shown = (wanted, through(load_next_vae(models))(wanted), todays_path()(wanted))
    cells: list[Cell] = []
    for row in zip(*shown, strict=True):
        for picture, text in zip(row, ("as drawn", "after the VAE", "today's path"), strict=True):
            cells.append((to_pil_image(picture.add(1).div(2).clamp(0, 1)), text))
    return 6, cells


def pictures(models: Path) -> tuple[int, list[Cell]]:
    """Six prompts of every kind, a kind a row."""
    prompts = [prompt for kind in ASKED for prompt in fixed_prompts(kind, 6)]
    painted = paint(load_picture(models / "picture"), prompts)
    return 6, [(picture, prompt.text) for picture, prompt in zip(painted, prompts, strict=True)]


KINDS: Kinds = {"kept": (kept, "vae"), "pictures": (pictures, "picture")}

if __name__ == "__main__":
    draw_from_words("starter.next.sheet", __doc__, KINDS, NEXT_MODELS, SHEETS / "next")
