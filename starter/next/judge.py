"""The next set's judge: a small network that says what is in a picture and where, several things at once.

It has seen painted tableaux only, never a generated picture, so it is independent of the models it judges. It reads
64 px: pictures of any size are brought to that first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from starter.judge import Block
from starter.next.tableau import SEASONS, THINGS, WEATHERS, Tableau
from starter.world import COLOURS, COUNTS, LORA_STYLE, PLACES, SIZES, STYLES, TIMES

SIDE, GRID = 64, 16
WHOLE: dict[str, tuple[str | int, ...]] = {
    "place": PLACES,
    "time": TIMES,
    "style": (*STYLES, LORA_STYLE),
    "weather": WEATHERS,
    "season": SEASONS,
    "count": COUNTS,
    "size": SIZES,
}
# So many cells make a thing: what is smaller is an edge that was misread.
LEAST = 3


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that the judge sees: its middle from the left as a share of the side, and how many cells it covers."""

    thing: str
    colour: str
    x: float
    cells: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that the judge sees in a picture; the things by their size, the largest first."""

    things: tuple[Found, ...]
    whole: dict[str, str | int]

    def shows(self, tableau: Tableau) -> bool:
        """Whether these very things are there and no others, each in its own colour and, side by side, in its order."""
        found = sorted(self.things, key=lambda one: one.x)
        wanted = {(s.thing, s.colour) for s in tableau.subjects}
        if {(one.thing, one.colour) for one in found} != wanted:
            return False
        if tableau.arrangement != "beside" or len(tableau.subjects) == 1:
            return True
        return [(one.thing, one.colour) for one in found] == [(s.thing, s.colour) for s in tableau.subjects]


class Judge(nn.Module):
    """Four strided blocks; what is where is read from the last three of them together, the rest from what all of them
    see anywhere.

    Every cell is told what the whole picture is like: a part of a large thing alone could be one of another.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (24, 48, 96, 128), joint: int = 128) -> None:
        super().__init__()
        before = (3, *widths)
        self.blocks = nn.ModuleList(Block(before[level], width) for level, width in enumerate(widths))
        self.join = nn.Conv2d(sum(widths[1:]), joint, 1)
        self.about = nn.Linear(2 * widths[-1], joint)
        self.look = nn.Sequential(
            nn.GroupNorm(8, joint), nn.SiLU(), nn.Conv2d(joint, joint, 3, padding=1),
            nn.GroupNorm(8, joint), nn.SiLU(), nn.Conv2d(joint, joint, 3, padding=1),
            nn.GroupNorm(8, joint), nn.SiLU(),
        )  # fmt: skip
        self.thing = nn.Conv2d(joint, len(THINGS) + 1, 1)
        self.colour = nn.Conv2d(joint, len(COLOURS), 1)
        self.whole = nn.ModuleDict({name: nn.Linear(2 * sum(widths), len(values)) for name, values in WHOLE.items()})

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits for pictures from -1 to 1, (n, 3, 64, 64).

        By cell, (n, kinds, 16, 16): `thing`, whose last kind is none, and `colour`. By picture, (n, kinds): WHOLE's.
        """
        levels = []
        for block in self.blocks:
            pictures = block(pictures)
            levels.append(pictures)
        # Maxima say what there is, means how much of it: counting needs both.
        pooled = [torch.cat([level.mean((2, 3)), level.amax((2, 3))], dim=1) for level in levels]
        joint = self.join(torch.cat([F.interpolate(level, (GRID, GRID)) for level in levels[1:]], dim=1))
        joint = self.look(joint + self.about(pooled[-1])[:, :, None, None])
        cells = {"thing": self.thing(joint), "colour": self.colour(joint)}
        # Outlines that tell a style are gone in the last block.
        anywhere = torch.cat(pooled, dim=1)
        return cells | {name: head(anywhere) for name, head in self.whole.items()}


def load_judge(path: Path) -> Judge:
    """The trained judge, ready to judge."""
    judge = Judge()
    judge.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return judge.eval()


@torch.no_grad()
def look(judge: Judge, pictures: list[Image.Image]) -> list[Seen]:
    """What the judge sees in each picture."""
    arrays = [np.asarray(p.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)) for p in pictures]
    seen: list[Seen] = []
    for batch in torch.split(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1, 64):
        logits = judge(batch)
        # Half by itself, half by the cells about it: what a single cell is taken for is often no more than noise.
        shares = logits["thing"].softmax(1)
        shares = shares + F.avg_pool2d(shares, 3, stride=1, padding=1, count_include_pad=False)
        kinds, colours = shares.argmax(1).numpy(), logits["colour"].numpy()
        for number in range(len(batch)):
            whole = {name: values[int(logits[name][number].argmax())] for name, values in WHOLE.items()}
            seen.append(Seen(_things(kinds[number], colours[number]), whole))
    return seen


def _things(kinds: np.ndarray, colours: np.ndarray) -> tuple[Found, ...]:
    """The connected groups of cells that show the same thing, each in the colour that its cells agree on."""
    found = []
    for kind in np.unique(kinds[kinds < len(THINGS)]):
        number, groups = cv2.connectedComponents((kinds == kind).astype(np.uint8), connectivity=8)
        for group in range(1, number):
            cells = groups == group
            if (size := int(cells.sum())) >= LEAST:
                colour = COLOURS[int(colours[:, cells].mean(1).argmax())]
                found.append(Found(THINGS[kind], colour, float(np.nonzero(cells)[1].mean() + 0.5) / GRID, size))
    return tuple(sorted(found, key=lambda one: -one.cells))
