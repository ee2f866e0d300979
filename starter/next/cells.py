"""What stands in each cell of the pictures that the picture model learns from, and what its UNet knows of that.

A UNet comes to know by itself only late what it paints where: noise that is told from a picture says little of it. So
its features are asked for that as well, by readings that are not exported, and ever less as it learns to paint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from starter.next.judge import GRID
from starter.next.judging import cells_of
from starter.next.pictures import mark_of
from starter.next.reader import LETTERS
from starter.next.signs import letters_of, sign_rows
from starter.next.tableau import THINGS, Tableau
from starter.train.told import UNTOLD, cost
from starter.world import COLOURS

SIZES = (len(THINGS) + 1, len(COLOURS), len(LETTERS))
# So much more do letters count than things and colours: the way from a letter's token to its column is learnt last.
LETTER = 3


def keep_cells(path: Path, tableaux: Sequence[Tableau]) -> torch.Tensor:
    """Each cell's thing (len(THINGS) for none), its colour, and its place in LETTERS on a sign: int8, (n, 3, 16, 16),
    UNTOLD where nothing is asked; from the file if it holds just these."""
    mark = mark_of(tableaux)
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if kept["mark"] == mark:
            cells: torch.Tensor = kept["cells"]
            return cells
    cells = torch.stack([_cells_of(tableau) for tableau in tableaux])
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"cells": cells, "mark": mark}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
    return cells


def _cells_of(tableau: Tableau) -> torch.Tensor:
    things, colours = cells_of(tableau)
    if any(subject.blend is not None for subject in tableau.subjects):
        # Halfway between two colours is none.
        colours = torch.full_like(colours, UNTOLD)
    letters = torch.full_like(things, UNTOLD)
    if tableau.word is not None:
        letters[sign_rows(GRID)] = torch.from_numpy(letters_of(tableau.word, LETTERS[1:], GRID))
    return torch.stack([things, colours, letters]).to(torch.int8)


class Readings(nn.Module):
    """What is lost of the cells in a UNet's features of them, (n, width, 16, 16)."""

    cells: torch.Tensor
    weight: torch.Tensor

    def __init__(self, cells: torch.Tensor, width: int) -> None:
        """`cells` of all the pictures, as `keep_cells` gives them."""
        super().__init__()
        self.read = nn.Conv2d(width, sum(SIZES), 1)
        self.register_buffer("cells", cells, persistent=False)
        empty = float((cells[:, 0] == len(THINGS)).float().mean())
        # Cells of things weigh as much as all the others together: most show none.
        weight = torch.full((SIZES[0],), empty / max(0.01, 1 - empty))
        weight[-1] = 1
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, features: torch.Tensor, chosen: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropies of things, colours and letters together, for the pictures of these numbers.

        Each counts as much as there is `noise` in what the features were made of, (n,) from 0 to 1: what can be seen
        there need not be known from words.
        """
        told = self.read(features).movedim(1, -1).split(SIZES, dim=-1)
        things, colours, letters = self.cells[chosen].long().unbind(1)
        noise = noise[:, None, None].expand_as(things).flatten()
        lost = cost(told[0].flatten(0, 2), things.flatten(), noise * self.weight[things].flatten())
        for logits, wanted, often in ((told[1], colours, 1), (told[2], letters, LETTER)):
            lost = lost + often * cost(logits.flatten(0, 2), wanted.flatten(), noise)
        return lost
