"""The judge stage: trains `starter.judge` on renders, roughened so that it reads soft generated pictures too."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from starter.judge import ATTRIBUTES, Judge
from starter.train.pictures import render_all, sample_scenes, to_signed
from starter.train.text import labels_of


class JudgeStage:
    """All pairs of thing and colour are in, the picture model's held-out ones too: the judge must know them."""

    name = "judge"
    ema_decay = 0.995
    warm_steps = 50

    def __init__(self, device: torch.device, pictures: int = 24_000, batch: int = 64) -> None:
        self.model: nn.Module = Judge().to(device)
        self.batch = batch
        scenes = sample_scenes(pictures * 19 // 20, seed=31, neon_share=0.12)
        scenes += sample_scenes(pictures // 20, seed=32, held_out=True)
        self.pictures = render_all(scenes, 64).to(device)
        self.labels = labels_of(scenes).to(device)

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator, device=device)
        logits = self.model(roughen(to_signed(self.pictures[chosen]), generator))
        labels = self.labels[chosen]
        losses = [F.cross_entropy(logits[name], labels[:, i]) for i, name in enumerate(ATTRIBUTES)]
        right = {name: float((logits[name].argmax(1) == labels[:, i]).float().mean())
                 for i, name in enumerate(ATTRIBUTES)}  # fmt: skip
        return torch.stack(losses).sum(), right


def roughen(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blur half the pictures a little, shift them by up to 3 px, and add noise: what painted pictures are like."""
    device = pictures.device

    def draw(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand((), generator=generator, device=device)

    half = len(pictures) // 2
    soft = F.avg_pool2d(F.pad(pictures[:half], (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = draw(0.2, 0.9)
    pictures = torch.cat([pictures[:half] * (1 - share) + soft * share, pictures[half:]])
    dx, dy = (int(torch.randint(-3, 4, (1,), generator=generator, device=device)) for _ in range(2))
    padded = F.pad(pictures, (3, 3, 3, 3), mode="replicate")
    rows, columns = pictures.shape[-2:]
    pictures = padded[:, :, 3 + dy : 3 + dy + rows, 3 + dx : 3 + dx + columns]
    noise = torch.randn(pictures.shape, generator=generator, device=device)
    return pictures * draw(0.92, 1.06) + noise * draw(0.0, 0.08)


@torch.no_grad()
def held_out_accuracy(judge: Judge, number: int = 1000) -> dict[str, float]:
    """The judge's share of right answers on renders that it never saw, by attribute."""
    device = next(judge.parameters()).device
    scenes = sample_scenes(number * 9 // 10, seed=990_002) + sample_scenes(number // 10, seed=990_003, held_out=True)
    pictures, labels = render_all(scenes, 64).to(device), labels_of(scenes).to(device)
    right = dict.fromkeys(ATTRIBUTES, 0)
    for batch, rows in zip(torch.split(pictures, 100), torch.split(labels, 100), strict=True):
        logits = judge(to_signed(batch))
        for column, name in enumerate(ATTRIBUTES):
            right[name] += int((logits[name].argmax(1) == rows[:, column]).sum())
    return {name: hits / number for name, hits in right.items()}
