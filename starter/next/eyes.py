"""The next set's eyes stage: as `starter.train.eyes`, where every cell of a picture may show another thing.

What stands on a sign is read letter by letter, for most of its words have never been seen before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from starter.answers import SIDE
from starter.next.answers import truth_of
from starter.next.judge import WHOLE
from starter.next.judging import wholes_of
from starter.next.pictures import sample_tableaux
from starter.next.reader import LETTERS
from starter.next.render import render_tableau
from starter.next.signs import letters_of
from starter.next.tableau import THINGS, Tableau
from starter.train.eyes import CELL, EyesStage, Pictures, Readings, held_out_readings
from starter.train.florence import CELLS, new_florence
from starter.train.loop import Budget, train
from starter.train.plan import Plan
from starter.train.told import UNTOLD, cost, right
from starter.world import COLOURS

# So many upright strips of the picture each show a letter of its sign or none.
STRIPS = 4 * CELLS
WORD_SHARE = 0.4


@dataclass(frozen=True)
class Shown(Pictures):
    """Pictures of one to three kinds of things and their dense labels; by cell as the rows of a grid, (n, 64)."""

    wholes: torch.Tensor  # (n, attributes) in the order of WHOLE, UNTOLD where nobody can tell
    masks: torch.Tensor  # bool, (n, 64, 64), all things together
    kinds: torch.Tensor  # by cell: 0 for none, else 1 + the place in THINGS of what covers it most
    hues: torch.Tensor  # by cell: that thing's colour, or UNTOLD
    order: torch.Tensor  # by cell: 0 for none, else which thing from the left that is
    boxes: torch.Tensor  # (n, 64, 4) uint8: that thing's box in pixels
    letters: torch.Tensor  # (n, STRIPS): which of LETTERS stands in each strip, 0 for none


def show(tableaux: Sequence[Tableau]) -> Shown:
    """Paint the tableaux with their labels: three quarters at 64 px, the others larger and shrunk as members' are."""
    truths = [truth_of(tableau) for tableau in tableaux]
    pictures = np.stack([np.asarray(_picture(tableau)) for tableau in tableaux])
    kinds, hues, order, boxes = [], [], [], []
    for truth in truths:
        share = truth.masks.reshape(-1, CELLS, CELL, CELLS, CELL).mean((2, 4)).reshape(-1, CELLS * CELLS)
        most, covered = share.argmax(0), share.max(0) > 0.04
        named = [(THINGS.index(one.thing) + 1, COLOURS.index(one.colour)) for one in truth.things]
        kind, hue = np.array(named)[most].T
        kinds.append(np.where(covered, kind, 0))
        hues.append(np.where(covered, hue, UNTOLD))
        order.append(np.where(covered, most + 1, 0))
        boxes.append(np.array(truth.boxes)[most])
    return Shown(
        truths,
        torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        wholes_of(tableaux),
        torch.from_numpy(np.stack([truth.masks.any(0) for truth in truths])),
        torch.from_numpy(np.stack(kinds)),
        torch.from_numpy(np.stack(hues)),
        torch.from_numpy(np.stack(order)),
        torch.from_numpy(np.stack(boxes).astype(np.uint8)),
        torch.from_numpy(np.stack([letters_of(tableau.word, LETTERS[1:], STRIPS) for tableau in tableaux])),
    )


def _picture(tableau: Tableau) -> Image.Image:
    if tableau.seed % 4:
        return render_tableau(tableau, SIDE)
    return render_tableau(tableau, SIDE * (2 if tableau.seed % 8 else 4)).resize((SIDE, SIDE))


class Heads(Readings):
    """Linear readings of the picture tokens: token 0 for the whole picture, the others for their cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.whole = nn.ModuleDict({name: nn.Linear(width, len(values)) for name, values in WHOLE.items()})
        self.mask = nn.Linear(width, CELL * CELL)
        self.sizes = [len(THINGS) + 1, len(COLOURS), 4, 4]
        self.cell = nn.Linear(width, sum(self.sizes))
        self.letters = nn.Linear(width, STRIPS // CELLS * len(LETTERS))

    def loss(self, tokens: torch.Tensor, shown: Shown, chosen: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        wholes = shown.wholes[chosen]
        losses = [cost(self.whole[name](tokens[:, 0]), wholes[:, column]) for column, name in enumerate(WHOLE)]
        cells = tokens[:, 1:]
        n = len(cells)
        target = shown.masks[chosen].view(n, CELLS, CELL, CELLS, CELL).transpose(2, 3).reshape(n, CELLS * CELLS, -1)
        mask = self.mask(cells)
        losses.append(4 * F.binary_cross_entropy_with_logits(mask, target.float()))
        union = ((mask > 0) | target).sum((1, 2)).clamp(min=1)
        thing, colour, order, box = self.cell(cells).split(self.sizes, dim=-1)
        kinds, hues = shown.kinds[chosen], shown.hues[chosen]
        covered = kinds > 0
        losses.append(F.cross_entropy(thing.flatten(0, 1), kinds.flatten()))
        losses.append(0.5 * cost(colour.flatten(0, 1), hues.flatten()))
        losses.append(F.cross_entropy(order.flatten(0, 1), shown.order[chosen].flatten()))
        off = F.l1_loss(box[covered] * SIDE, shown.boxes[chosen][covered].float())
        losses.append(0.5 * off)
        # The sign lies across the two lowest rows; each of their cells reads the strips that cross it.
        strips = shown.letters[chosen][:, None].expand(-1, 2, -1)
        letters = self.letters(tokens[:, -2 * CELLS :]).view(*strips.shape, -1)
        losses.append(2 * F.cross_entropy(letters.flatten(0, 2), strips.flatten()))
        written = strips > 0
        figures = {
            "thing": right(thing[covered], kinds[covered]),
            "colour": right(colour[covered], hues[covered]),
            "place": right(self.whole["place"](tokens[:, 0]), wholes[:, 0]),
            "letters": right(letters[written], strips[written]),
            "mask_iou": float((((mask > 0) & target).sum((1, 2)) / union).mean()),
            "box_px": float(off.detach()),
        }
        return torch.stack(losses).sum(), figures


def training_tableaux(pictures: int) -> list[Tableau]:
    """What both stages of the caption model train on; a prefix is a smaller set of the same."""
    return sample_tableaux(pictures, seed=191, kinds=(1, 1, 2, 3), word_share=WORD_SHARE)


def run_eyes(plan: Plan, budget: Budget, processor: Any, pictures: int = 24_000, held_out: int = 400) -> dict[str, Any]:
    """Train the stage; give its readings of tableaux that it never saw."""
    florence = new_florence(processor)
    heads = Heads(florence.config.text_config.d_model)
    stage = EyesStage(plan.device, florence, heads, show(training_tableaux(pictures)), 48 * plan.batch_factor)
    stage.model.load_state_dict(train(stage, budget, folder=plan.build))
    unseen = sample_tableaux(held_out, seed=990_191, kinds=(1, 1, 2, 3), word_share=WORD_SHARE)
    return held_out_readings(stage, show(unseen))
