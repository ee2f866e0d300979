"""The next set's reader stage: it learns to spell from painted signs, roughened so that it reads generated ones too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torchvision.transforms.functional import to_pil_image  # type: ignore[import-untyped]

from starter.next.pictures import paint_all, sample_tableaux
from starter.next.reader import Reader, misspelt, read
from starter.next.tableau import HELD_OUT_WORDS, Tableau
from starter.train.judging import roughen
from starter.train.pictures import to_signed

# Of the pictures that it learns from; the others have no sign.
SIGNS = 0.9


def signed(number: int, seed: int) -> list[Tableau]:
    """Tableaux of all kinds, most of them with a sign."""
    return sample_tableaux(number, seed, kinds=(1, 1, 2, 3), word_share=SIGNS)


class ReaderStage:
    """Learns where which letter stands from the words alone."""

    name = "reader"
    ema_decay = 0.995
    warm_steps = 100

    def __init__(self, device: torch.device, tableaux: list[Tableau], batch: int = 32) -> None:
        self.model: nn.Module = Reader().to(device)
        self.batch = batch
        self.pictures = paint_all(tableaux).to(device)
        self.words = [tableau.word or "" for tableau in tableaux]

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator, device=device)
        logits = self.model(roughen(to_signed(self.pictures[chosen]), generator))
        loss = misspelt(logits, [self.words[number] for number in chosen.tolist()])
        return loss, {"misspelt": float(loss.detach())}


def held_out_reading(reader: Reader, number: int = 400) -> dict[str, float]:
    """The share of signs that are read rightly: with words as trained, with held-out ones, and where there is none."""
    usual = [tableau for tableau in signed(number, seed=990_151) if tableau.word]
    words = sorted(HELD_OUT_WORDS)
    figures = {}
    for name, tableaux in (
        ("usual", usual),
        ("held_out", [replace(tableau, word=words[place % len(words)]) for place, tableau in enumerate(usual)]),
        ("none", [replace(tableau, word=None) for tableau in usual]),
    ):
        told = read(reader, [to_pil_image(picture) for picture in paint_all(tableaux)])
        figures[name] = sum(a == (t.word or "") for a, t in zip(told, tableaux, strict=True)) / len(tableaux)
    return figures
