"""The next set's reader stage: it learns to spell from painted signs, roughened so that it reads generated ones too."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torchvision.transforms.functional import to_pil_image  # type: ignore[import-untyped]

from starter.next.pictures import paint_all, sample_tableaux
from starter.next.reader import ROWS, Reader, misspelt, read
from starter.next.tableau import HELD_OUT_WORDS, Tableau, spelling
from starter.train.judging import roughen
from starter.train.pictures import to_signed

# Of the pictures that it learns from; the others have no sign.
SIGNS = 0.9
# Rows from the bottom: those that are read, and those that roughening moves in.
KEPT = ROWS + 8


def signed(number: int, seed: int) -> list[Tableau]:
    """Tableaux of all kinds, most of them with a sign.

    On most signs stand letters in no order: of words that it knows the reader would make out what should be there.
    """
    rng = random.Random(seed)
    drawn = sample_tableaux(number, seed, kinds=(1, 1, 2, 3), word_share=SIGNS)
    return [
        replace(tableau, word=spelling(rng)) if tableau.word and rng.random() < 0.9 else tableau for tableau in drawn
    ]


class ReaderStage:
    """Learns where which letter stands from the words alone."""

    name = "reader"
    ema_decay = 0.995
    warm_steps = 100

    def __init__(self, device: torch.device, tableaux: list[Tableau], batch: int = 32) -> None:
        self.model: nn.Module = Reader().to(device)
        self.batch = batch
        # What is above it never looks at.
        parts = [paint_all(tableaux[start : start + 500])[:, :, -KEPT:] for start in range(0, len(tableaux), 500)]
        self.pictures = torch.cat(parts).to(device)
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
