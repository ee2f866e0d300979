"""The judge: a small convolutional network that names every attribute of a 64 px picture.

It has seen renders only, never a generated picture, so it is independent of the models it judges.
Training it is `starter.train.judging`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from starter.world import COLOURS, COUNTS, LORA_STYLE, PLACES, SIZES, STYLES, THINGS, TIMES

MODELS = Path(__file__).parent / "models"
ATTRIBUTES: dict[str, tuple[str | int, ...]] = {
    "thing": THINGS,
    "colour": COLOURS,
    "place": PLACES,
    "time": TIMES,
    "style": (*STYLES, LORA_STYLE),
    "size": SIZES,
    "count": COUNTS,
}


class Judge(nn.Module):
    """Four strided convolutions, each with a residual one, then one linear head an attribute."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 80, 112)) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        before = 3
        for width in widths:
            blocks.append(Block(before, width))
            before = width
        self.blocks = nn.Sequential(*blocks)
        # Maxima say what there is, means how much of it: counting needs both.
        self.heads = nn.ModuleDict({name: nn.Linear(2 * before, len(v)) for name, v in ATTRIBUTES.items()})

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits by attribute for pictures from -1 to 1, (n, 3, 64, 64)."""
        features = self.blocks(pictures)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        return {name: head(pooled) for name, head in self.heads.items()}


class Block(nn.Module):
    """A convolution that halves the size, and a residual one."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(before, width, 3, stride=2, padding=1)
        self.norm1 = nn.GroupNorm(8, width)
        self.again = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.silu(self.norm1(self.shrink(x)))
        return x + F.silu(self.norm2(self.again(x)))


def load_judge(path: Path = MODELS / "judge" / "judge.safetensors") -> Judge:
    """The trained judge, ready to judge."""
    judge = Judge()
    judge.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return judge.eval()


def judge_pictures(judge: Judge, pictures: list[Image.Image]) -> list[dict[str, str | int]]:
    """What the judge sees in each picture; pictures of another size are brought to 64 px first."""
    logits = _logits(judge, pictures)
    return [
        {name: values[int(logits[name][number].argmax())] for name, values in ATTRIBUTES.items()}
        for number in range(len(pictures))
    ]


def judge_shares(judge: Judge, picture: Image.Image, attribute: str) -> list[float]:
    """How likely each value of an attribute is in a picture, in their order."""
    shares: list[float] = _logits(judge, [picture])[attribute][0].softmax(dim=0).tolist()
    return shares


@torch.no_grad()
def _logits(judge: Judge, pictures: list[Image.Image]) -> dict[str, torch.Tensor]:
    arrays = [np.asarray(p.convert("RGB").resize((64, 64), Image.Resampling.BOX)) for p in pictures]
    batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1
    logits: dict[str, torch.Tensor] = judge(batch)
    return logits
