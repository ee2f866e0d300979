"""The eyes stage: schools the caption model's vision tower with dense labels, before any language.

Of every cell of its last grid the tower is asked what covers it, pixel by pixel, which thing that is, in which
colour, where its box ends, and which letters of a sign stand there; of the whole picture, all attributes and the
word. The heads that answer are thrown away; the tower keeps what they need, laid out so that one linear layer reads
it. Learning this through a language model would take many times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image, ImageFont
from torch import nn
from torch.nn import functional as F

from starter.answers import SIDE, truth_of
from starter.judge import ATTRIBUTES
from starter.render import render
from starter.train.florence import CELLS, Florence, new_florence, new_processor, prepare
from starter.train.loop import Budget, autocast, train
from starter.train.pictures import sample_scenes, to_signed
from starter.train.plan import Plan
from starter.train.text import labels_of
from starter.train.told import right
from starter.world import COLOURS, THINGS, WORDS, Scene

LETTERS = "".join(sorted({letter for word in WORDS for letter in word}))
WORD_SHARE = 0.4
CELL = SIDE // CELLS
STRIPS = 2 * CELLS


@dataclass(frozen=True)
class Pictures:
    """Pictures, and all that is true of each, n each."""

    truths: list[Any]
    pictures: torch.Tensor  # uint8, (n, 3, 64, 64)


P = TypeVar("P", bound=Pictures)


class Readings(nn.Module):
    """Heads that are taught to read from picture tokens what pictures show."""

    def loss(self, tokens: torch.Tensor, shown: Any, chosen: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of all readings of (n, 65, width) tokens of the chosen pictures, and the share of right ones."""
        raise NotImplementedError


@dataclass(frozen=True)
class Shown(Pictures):
    """Pictures of single kinds of things and their dense labels."""

    attributes: torch.Tensor  # (n, 7) in the order of ATTRIBUTES
    words: torch.Tensor  # (n,) number in WORDS, len(WORDS) for none
    masks: torch.Tensor  # bool, (n, 64, 64), all things together
    order: torch.Tensor  # (n, 64) uint8 by cell: 0 for none, else which thing from the left covers it most
    boxes: torch.Tensor  # (n, 64, 4) uint8: that thing's box in pixels
    letters: torch.Tensor  # (n, STRIPS): which letter of the sign stands in each upright strip, 0 for none


def show(scenes: list[Scene]) -> Shown:
    """Render the scenes with their labels: three quarters at 64 px, the others larger and shrunk as members' are."""
    truths = [truth_of(scene) for scene in scenes]
    pictures, masks, order, boxes = [], [], [], []
    for truth in truths:
        pictures.append(np.asarray(_picture(truth.scene)))
        masks.append(truth.masks.any(0))
        share = truth.masks.reshape(-1, CELLS, CELL, CELLS, CELL).mean((2, 4)).reshape(-1, CELLS * CELLS)
        most = share.argmax(0)
        order.append(np.where(share.max(0) > 0.04, most + 1, 0))
        boxes.append(np.array(truth.boxes)[most])
    return Shown(
        truths,
        torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
        labels_of(scenes),
        torch.tensor([WORDS.index(s.word) if s.word else len(WORDS) for s in scenes]),
        torch.from_numpy(np.stack(masks)),
        torch.from_numpy(np.stack(order).astype(np.uint8)),
        torch.from_numpy(np.stack(boxes).astype(np.uint8)),
        torch.from_numpy(np.stack([letters_of(scene.word) for scene in scenes])),
    )


def _picture(scene: Scene) -> Image.Image:
    if scene.seed % 4:
        return render(scene, SIDE)
    large = render(scene, SIDE * (2 if scene.seed % 8 else 4))
    return large.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def letters_of(word: str | None) -> np.ndarray:
    """Which letter of a sign's word covers the middle of each upright strip: 1 + its place in LETTERS, or 0."""
    letters = np.zeros(STRIPS, dtype=np.int64)
    if word is None:
        return letters
    font = ImageFont.load_default(SIDE * 0.17)
    left = SIDE / 2 - font.getlength(word) / 2
    for strip in range(STRIPS):
        middle = (strip + 0.5) * SIDE / STRIPS - left
        for number, letter in enumerate(word):
            if font.getlength(word[:number]) <= middle < font.getlength(word[: number + 1]):
                letters[strip] = 1 + LETTERS.index(letter)
    return letters


class Heads(Readings):
    """Linear readings of the picture tokens: token 0 for the whole picture, the others for their cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.whole = nn.ModuleDict({name: nn.Linear(width, len(values)) for name, values in ATTRIBUTES.items()})
        self.word = nn.Linear(width, len(WORDS) + 1)
        self.mask = nn.Linear(width, CELL * CELL)
        self.sizes = [len(THINGS) + 1, len(COLOURS), 4, 4]
        self.letters = nn.Linear(width, STRIPS // CELLS * (len(LETTERS) + 1))
        self.cell = nn.Linear(width, sum(self.sizes))

    def loss(self, tokens: torch.Tensor, shown: Shown, chosen: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        figures = {}
        labels = shown.attributes[chosen]
        losses = []
        for column, name in enumerate(ATTRIBUTES):
            logits = self.whole[name](tokens[:, 0])
            losses.append(F.cross_entropy(logits, labels[:, column]))
            figures[name] = right(logits, labels[:, column])
        # The sign stands in the lowest rows; the mean of all cells would drown it.
        words = self.word(tokens[:, -2 * CELLS :].mean(1))
        losses.append(F.cross_entropy(words, shown.words[chosen]))
        signed = shown.words[chosen] < len(WORDS)
        figures["word"] = right(words[signed], shown.words[chosen][signed])
        cells = tokens[:, 1:]
        n = len(cells)
        target = shown.masks[chosen].view(n, CELLS, CELL, CELLS, CELL).transpose(2, 3).reshape(n, CELLS * CELLS, -1)
        mask = self.mask(cells)
        losses.append(4 * F.binary_cross_entropy_with_logits(mask, target.float()))
        union = ((mask > 0) | target).sum((1, 2)).clamp(min=1)
        figures["mask_iou"] = float((((mask > 0) & target).sum((1, 2)) / union).mean())
        thing, colour, order, box = self.cell(cells).split(self.sizes, dim=-1)
        orders = shown.order[chosen].long()
        covered = orders > 0
        kinds = torch.where(covered, labels[:, :1] + 1, 0)
        figures["cell"] = right(thing[covered], kinds[covered])
        losses.append(F.cross_entropy(thing.flatten(0, 1), kinds.flatten()))
        losses.append(0.5 * F.cross_entropy(colour[covered], labels[:, 1:2].expand_as(orders)[covered]))
        losses.append(F.cross_entropy(order.flatten(0, 1), orders.flatten()))
        off = F.l1_loss(box[covered] * SIDE, shown.boxes[chosen][covered].float())
        losses.append(0.5 * off)
        figures["box_px"] = float(off.detach())
        # The sign lies across the two lowest rows; each of their cells reads the strips that cross it.
        strips = shown.letters[chosen][:, None].expand(-1, 2, -1)
        letters = self.letters(tokens[:, -2 * CELLS :]).view(*strips.shape, -1)
        figures["letters"] = right(letters[strips > 0], strips[strips > 0])
        losses.append(2 * F.cross_entropy(letters.flatten(0, 2), strips.flatten()))
        return torch.stack(losses).sum(), figures


class EyesStage:
    """Tower, projector and throw-away heads on roughened renders."""

    name = "eyes"
    ema_decay = 0.995
    warm_steps = 100

    def __init__(
        self, device: torch.device, florence: Florence, heads: Readings, shown: Pictures, batch: int = 48
    ) -> None:
        prepare(florence, device)
        self.florence, self.heads = florence, heads
        self.model: nn.Module = nn.ModuleDict(
            {
                "tower": florence.model.vision_tower,
                "projector": florence.model.multi_modal_projector,
                "heads": self.heads,
            }
        ).to(device)
        self.shown = to_device(shown, device)
        self.batch = batch

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.shown.pictures.device
        chosen = torch.randint(len(self.shown.pictures), (self.batch,), generator=generator, device=device)
        pictures = roughen(to_signed(self.shown.pictures[chosen]), generator)
        with autocast(device):
            tokens = self.florence.get_image_features(pictures).pooler_output
        return self.heads.loss(tokens.float(), self.shown, chosen)


def roughen(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """What painted pictures are like: some blurred or a little too sharp, all lighter or darker and noisy.

    Nothing moves, so labels stay right.
    """
    device, n = pictures.device, len(pictures)

    def draw(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand((n, 1, 1, 1), generator=generator, device=device)

    soft = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = draw(-0.5, 1.0) * (draw(0, 1) < 0.7)
    noise = torch.randn(pictures.shape, generator=generator, device=device)
    return pictures.lerp(soft, share) * draw(0.9, 1.06) + draw(-0.05, 0.05) + noise * draw(0.0, 0.08)


def to_device(shown: P, device: torch.device) -> P:
    """The same with its tensors on the device."""
    values: dict[str, Any] = {field.name: getattr(shown, field.name) for field in fields(shown)}
    moved = {name: value.to(device) for name, value in values.items() if isinstance(value, torch.Tensor)}
    return replace(shown, **(values | moved))


def training_scenes(pictures: int) -> list[Scene]:
    """What both stages of the caption model train on; a prefix is a smaller set of the same."""
    return sample_scenes(pictures, seed=61, word_share=WORD_SHARE)


def run_eyes(plan: Plan, budget: Budget, pictures: int = 24_000) -> dict[str, Any]:
    """Train the stage; give its readings of renders that it never saw."""
    florence = new_florence(new_processor())
    heads = Heads(florence.config.text_config.d_model)
    stage = EyesStage(plan.device, florence, heads, show(training_scenes(pictures)), 48 * plan.batch_factor)
    stage.model.load_state_dict(train(stage, budget, folder=plan.build))
    return held_out_readings(stage, show(sample_scenes(500, seed=990_061, word_share=WORD_SHARE)))


@torch.no_grad()
def held_out_readings(stage: EyesStage, unseen: Pictures) -> dict[str, float]:
    """The heads' figures on plain pictures never seen."""
    stage.model.eval()
    device = stage.shown.pictures.device
    shown = to_device(unseen, device)
    tokens = stage.florence.get_image_features(to_signed(shown.pictures)).pooler_output
    return stage.heads.loss(tokens, shown, torch.arange(len(shown.pictures), device=device))[1]
