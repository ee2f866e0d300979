"""The next set's reader: a small network that spells what stands on the sign of a picture, letter by letter.

It has seen painted signs only, mostly of letters in no order, so it reads what is there and not what would make sense.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

SIDE = 128
# Signs stand within so many rows from the bottom, and are read in so many columns.
ROWS, COLUMNS = 32, 32
# What stands in a column; the first is nothing, or more of the letter before it.
LETTERS = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Reader(nn.Module):
    """Three convolutions that narrow the strip, then what each of its columns shows beside those about it."""

    def __init__(self, widths: tuple[int, int, int] = (24, 48, 64), joint: int = 128) -> None:
        super().__init__()
        first, second, third = widths
        self.strip = nn.Sequential(
            nn.Conv2d(3, first, 3, stride=2, padding=1), nn.GroupNorm(8, first), nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1), nn.GroupNorm(8, second), nn.SiLU(),
            nn.Conv2d(second, third, 3, stride=(2, 1), padding=1), nn.GroupNorm(8, third), nn.SiLU(),
        )  # fmt: skip
        self.columns = nn.Sequential(
            nn.Conv1d(third * ROWS // 8, joint, 3, padding=1), nn.GroupNorm(8, joint), nn.SiLU(),
            nn.Conv1d(joint, joint, 3, padding=1), nn.GroupNorm(8, joint), nn.SiLU(),
            nn.Conv1d(joint, len(LETTERS), 1),
        )  # fmt: skip

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits of LETTERS by column for pictures from -1 to 1, (n, 3, 128, 128): (n, letters, 32)."""
        strip = self.strip(pictures[:, :, -ROWS:])
        columns: torch.Tensor = self.columns(strip.flatten(1, 2))
        return columns


def load_reader(path: Path) -> Reader:
    """The trained reader, ready to read."""
    reader = Reader()
    reader.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return reader.eval()


@torch.no_grad()
def read(reader: Reader, pictures: list[Image.Image]) -> list[str]:
    """What stands on the sign of each picture; nothing where there is no sign."""
    arrays = [np.asarray(p.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)) for p in pictures]
    batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1
    best = torch.cat([reader(part).argmax(1) for part in torch.split(batch, 64)])
    return ["".join(LETTERS[number] for number, _ in itertools.groupby(row)).replace(" ", "") for row in best.tolist()]


def misspelt(logits: torch.Tensor, words: list[str]) -> torch.Tensor:
    """How unlikely these words are by a reader's logits: the mean over pictures of each letter's cost."""
    spelt = [LETTERS.index(letter) for word in words for letter in word]
    lengths = torch.tensor([len(word) for word in words])
    logs = logits.permute(2, 0, 1).log_softmax(-1)
    columns = torch.full((len(words),), logits.shape[2])
    letters = torch.tensor(spelt, dtype=torch.long, device=logits.device)
    return F.ctc_loss(logs, letters, columns, lengths, zero_infinity=True)
