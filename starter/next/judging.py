"""The next set's judge stage: it learns from painted tableaux, roughened so that it reads generated pictures too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image  # type: ignore[import-untyped]

from starter.next.judge import GRID, SIDE, WHOLE, Judge, look
from starter.next.pictures import paint_all, sample_tableaux
from starter.next.render import outlined
from starter.next.tableau import THINGS, Tableau
from starter.train.judging import roughen
from starter.train.loop import autocast
from starter.train.pictures import to_signed
from starter.train.told import UNTOLD, cost
from starter.world import COLOURS

# Where this share of a cell shows a thing, the cell is that thing's.
COVERED = 0.4
# So many pictures are in memory at their full size at once.
PART = 512


def judge_tableaux(number: int) -> list[Tableau]:
    """All kinds; one in twenty of the pairs that the picture model never sees, which the judge must know."""
    usual = number * 19 // 20
    drawn = sample_tableaux(usual, seed=131, kinds=(1, 1, 2, 2, 3), word_share=0.1, neon_share=0.1)
    return drawn + sample_tableaux(number - usual, seed=132, kinds=(1, 2), held_out=True)


def cells_of(tableau: Tableau) -> tuple[torch.Tensor, torch.Tensor]:
    """What the judge should read in each cell: the thing's number and, where there is one, its colour's; (16, 16)."""
    things = torch.full((GRID, GRID), len(THINGS))
    colours = torch.full((GRID, GRID), UNTOLD)
    alone = len(tableau.subjects) == 1
    for number, mask in enumerate(outlined(tableau, SIDE)):
        subject = tableau.subjects[0 if alone else number]
        share = F.avg_pool2d(torch.from_numpy(mask).float()[None, None], SIDE // GRID)[0, 0]
        things[share >= COVERED] = THINGS.index(subject.thing)
        colours[share >= COVERED] = COLOURS.index(subject.colour)
    return things, colours


def wholes_of(tableaux: Sequence[Tableau]) -> torch.Tensor:
    """The attributes of whole pictures as numbers, (n, 7), in the order of WHOLE; sizes of single kinds alone."""
    rows = []
    for tableau in tableaux:
        alone = len(tableau.subjects) == 1
        count = tableau.subjects[0].count if alone else len(tableau.subjects)
        said = ("place", "time", "style", "weather", "season")
        row = [WHOLE[name].index(getattr(tableau, name)) for name in said]
        size = WHOLE["size"].index(tableau.subjects[0].size) if alone else UNTOLD
        rows.append([*row, WHOLE["count"].index(count), size])
    return torch.tensor(rows)


class JudgeStage:
    """Cells of things weigh as much as all the others together: most cells show none."""

    name = "judge"
    ema_decay = 0.995
    warm_steps = 50

    def __init__(self, device: torch.device, tableaux: Sequence[Tableau], batch: int = 32) -> None:
        self.model: nn.Module = Judge().to(device)
        self.batch = batch
        # Made smaller as `look` makes what it is shown: lines that are drawn at this size are others.
        parts = (tableaux[start : start + PART] for start in range(0, len(tableaux), PART))
        self.pictures = torch.cat([F.avg_pool2d(paint_all(part).float(), 2).byte() for part in parts]).to(device)
        things, colours = zip(*(cells_of(tableau) for tableau in tableaux), strict=True)
        self.things, self.colours = torch.stack(things).to(device), torch.stack(colours).to(device)
        self.wholes = wholes_of(tableaux).to(device)
        empty = float((self.things == len(THINGS)).float().mean())
        self.weight = torch.full((len(THINGS) + 1,), empty / max(0.01, 1 - empty), device=device)
        self.weight[-1] = 1

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator, device=device)
        with autocast(device):
            logits = self.model(roughen(to_signed(self.pictures[chosen]), generator))
        logits = {name: each.float() for name, each in logits.items()}
        things, colours, wholes = self.things[chosen], self.colours[chosen], self.wholes[chosen]
        cells = F.cross_entropy(logits["thing"], things, weight=self.weight)
        hues = cost(logits["colour"].movedim(1, -1).flatten(0, -2), colours.flatten())
        losses = [cost(logits[name], wholes[:, column]) for column, name in enumerate(WHOLE)]
        shown = things < len(THINGS)
        figures = {
            "thing": float((logits["thing"].argmax(1) == things)[shown].float().mean()),
            "colour": float((logits["colour"].argmax(1) == colours)[shown].float().mean()),
            "place": float((logits["place"].argmax(1) == wholes[:, 0]).float().mean()),
        }
        return 2 * cells + hues + torch.stack(losses).sum(), figures


def held_out_judgement(judge: Judge, number: int = 400) -> dict[str, float]:
    """The judge's share of right answers on tableaux that it never saw."""
    single = sample_tableaux(number // 2, seed=990_131, kinds=(1,))
    several = sample_tableaux(number // 2, seed=990_132, kinds=(2, 2, 3))
    figures = {}
    for name, tableaux in (("single", single), ("several", several)):
        seen = look(judge, [to_pil_image(picture) for picture in paint_all(tableaux, 128)])
        shown = [one.shows(tableau) for one, tableau in zip(seen, tableaux, strict=True)]
        figures[f"{name}_shown"] = sum(shown) / len(shown)
        for column, attribute in enumerate(WHOLE):
            wanted = wholes_of(tableaux)[:, column].tolist()
            asked = [(one.whole[attribute], WHOLE[attribute][w]) for one, w in zip(seen, wanted, strict=True) if w >= 0]
            if asked:
                figures[f"{name}_{attribute}"] = sum(a == b for a, b in asked) / len(asked)
    return figures
