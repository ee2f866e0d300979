"""The labels stage: a small CLIP that says which words fit a picture, in English and Chinese.

Three lessons at once: labels and captions through the text tower, as the model will be asked; every attribute from the
picture alone; and, the great accelerator, what every patch of the picture shows. The heads of the last two are
thrown away.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image  # type: ignore[import-untyped]
from transformers import CLIPProcessor, CLIPTokenizer

from starter.labels import NAMING, Naming, Value, label_accuracy, load_labels
from starter.render import silhouettes
from starter.train.export import replacing
from starter.train.label_texts import SAID, label_texts, said_texts, tell
from starter.train.loop import Budget, autocast, train
from starter.train.pictures import render_all, sample_scenes
from starter.train.plan import Plan
from starter.train.seeing import greyed, new_image_processor, normalised, roughen
from starter.train.text import new_tokenizer
from starter.train.told import UNTOLD, cost, right
from starter.train.vit import Shape, new_clip
from starter.world import Scene

SHAPE = Shape()
# How much each attribute's labels count: the thing is learnt last and slowest.
WEIGHTS = {"thing": 2.0}
# The share of a patch that a thing must cover to be what the patch shows, and below which it is nothing.
COVERED, BARE = 0.35, 0.05
EASY_SHARE, EASY_UNTIL = 0.6, 0.2
# The share of pictures that are made grey, and what they no longer tell. Without them the model would take the colour
# for a hint at the thing, and mistake things in the colours that were held out.
GREY = 0.2
COLOURED = ("colour", "place", "time", "season")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class World(Generic[S]):
    """What there is to be labelled, and how it is called."""

    naming: Naming[S]
    said: tuple[tuple[str, ...], ...]
    """Which attributes the captions of one batch say, by chance."""
    tell: Callable[[S, random.Random, tuple[str, ...]], str]
    sample: Callable[[int, int, bool], list[S]]
    """So many scenes by a seed, of the pairs that are held out or of all others."""
    paint: Callable[[Sequence[S], int], torch.Tensor]
    cover: Callable[[Sequence[S], int], torch.Tensor]
    """Which pixels any of a scene's things covers: bool, (n, side, side)."""
    is_easy: Callable[[S], bool]


class LabelsStage(Generic[S]):
    """Pictures of all kinds but held-out pairs of thing and colour; some with signs, roughened, some made grey."""

    name = "labels"
    ema_decay = 0.998
    warm_steps = 200

    def __init__(
        self,
        device: torch.device,
        world: World[S],
        tokenizer: CLIPTokenizer,
        pictures: int = 40_000,
        batch: int = 32,
        shape: Shape = SHAPE,
    ) -> None:
        self.world, self.tokenizer, self.shape = world, tokenizer, shape
        self.clip = new_clip(self.tokenizer, shape)
        self.known = world.naming.values
        width = shape.width
        self.model: nn.Module = nn.ModuleDict(
            {
                "clip": self.clip,
                "whole": nn.Linear(width, sum(map(len, self.known.values()))),
                "patch": nn.Linear(width, 1 + len(self.known["thing"]) + len(self.known["colour"])),
            }
        ).to(device)
        self.batch = batch
        self.scenes = world.sample(pictures, 71, False)
        self.pictures = world.paint(self.scenes, shape.side).to(device)
        self.covered = world.cover(self.scenes, shape.side).to(device)
        self.values = values_of(self.scenes, world.naming).to(device)
        easy = [number for number, scene in enumerate(self.scenes) if world.is_easy(scene)]
        self.easy = torch.tensor(easy, device=device)

    def groups(self) -> list[dict[str, Any]]:
        vision = [*self.clip.vision_model.parameters(), *self.clip.visual_projection.parameters()]
        text = [*self.clip.text_model.parameters(), *self.clip.text_projection.parameters()]
        heads = [*self.model["whole"].parameters(), *self.model["patch"].parameters()]  # type: ignore[index]
        return [
            {"params": vision + heads, "lr": 1.5e-3, "weight_decay": 0.05},
            {"params": text, "lr": 1e-3},
            {"params": [self.clip.logit_scale], "lr": 3e-3, "weight_decay": 0.0},
        ]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = self._choose(generator, progress)
        rng = random.Random(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        pictures, covered = roughen(self.pictures[chosen].float(), self.covered[chosen], generator)
        scenes, values = [self.scenes[number] for number in chosen.tolist()], self.values[chosen]
        grey = torch.randperm(self.batch, generator=generator, device=device)[: round(GREY * self.batch)]
        pictures[grey] = greyed(pictures[grey], generator)
        for column, attribute in enumerate(self.known):
            if attribute in COLOURED:
                values[grey, column] = UNTOLD
        with autocast(device):
            seen = self.clip.vision_model(pixel_values=normalised(pictures))
            guesses = self.model["whole"](seen.pooler_output)  # type: ignore[index]
            patches = self.model["patch"](seen.last_hidden_state[:, 1:])  # type: ignore[index]
            image = self.clip.visual_projection(seen.pooler_output)
        image = F.normalize(image.float(), dim=-1)
        scale = self.clip.logit_scale.exp()
        asked, figures = self._labels(image * scale, values, rng)
        said = self._captions(image * scale, scenes, grey, rng)
        whole = guess_loss(guesses.float(), values, self.known)
        patch = patch_loss(patches.float(), covered, values, self.shape.patch, len(self.known["thing"]))
        parts = {"asked": asked, "said": said, "whole": whole, "patch": patch}
        figures |= {name: float(part.detach()) for name, part in parts.items()} | {"scale": float(scale.detach())}
        return asked + said + whole + 2 * patch, figures

    def _choose(self, generator: torch.Generator, progress: float) -> torch.Tensor:
        """Scenes of all kinds; early on mostly single things of some size, which teach shapes fastest."""

        def pick(number: int, of: int) -> torch.Tensor:
            return torch.randint(of, (number,), generator=generator, device=self.pictures.device)

        early = round(EASY_SHARE * self.batch) if progress < EASY_UNTIL else 0
        chosen = torch.cat([self.easy[pick(early, len(self.easy))], pick(self.batch - early, len(self.pictures))])
        # Pictures are roughened in groups by their place in the batch.
        return chosen[torch.randperm(self.batch, generator=generator, device=chosen.device)]

    def _labels(
        self, image: torch.Tensor, values: torch.Tensor, rng: random.Random
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross-entropy of every attribute's labels in a random wording, and the shares of right answers."""
        texts: list[str] = []
        for attribute in self.known:
            texts += label_texts(attribute, rng, chinese=rng.random() < 0.4, naming=self.world.naming)
        logits = image @ self._embed(texts).T
        total, shares, start = torch.zeros((), device=image.device), {}, 0
        for column, (attribute, known) in enumerate(self.known.items()):
            own = logits[:, start : start + len(known)]
            start += len(known)
            wanted = values[:, column]
            total = total + WEIGHTS.get(attribute, 1.0) * cost(own, wanted)
            shares[attribute] = right(own, wanted)
        return total, shares

    def _captions(self, image: torch.Tensor, scenes: list[S], grey: torch.Tensor, rng: random.Random) -> torch.Tensor:
        """Cross-entropy of the batch's captions: which of them fits each picture that has its colours."""
        world = self.world
        texts, numbers = said_texts(scenes, rng, rng.choice(world.said), world.naming, world.tell)
        logits = image @ self._embed(texts).T
        fitting = torch.tensor(numbers, device=image.device)
        fitting[grey] = UNTOLD
        return F.cross_entropy(logits, fitting)

    def _embed(self, texts: list[str]) -> torch.Tensor:
        longest = self.tokenizer.model_max_length
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        device = self.pictures.device
        with autocast(device):
            features = self.clip.get_text_features(input_ids=tokens.input_ids.to(device)).pooler_output
        return F.normalize(features.float(), dim=-1)


def values_of(scenes: Sequence[S], naming: Naming[S]) -> torch.Tensor:
    """The scenes' attributes as numbers, (n, attributes), in the order of the values; UNTOLD where there is none."""

    def number(scene: S, name: str) -> int:
        value = naming.value(scene, name)
        return UNTOLD if value is None else naming.values[name].index(value)

    return torch.tensor([[number(scene, name) for name in naming.values] for scene in scenes])


def cover_all(scenes: Sequence[Scene], side: int) -> torch.Tensor:
    """Which pixels any of the scene's things covers: bool, (n, side, side)."""
    return torch.stack([torch.from_numpy(sum(silhouettes(scene, side)) > 0) for scene in scenes])


def guess_loss(
    guesses: torch.Tensor, values: torch.Tensor, attributes: Mapping[str, tuple[Value, ...]]
) -> torch.Tensor:
    """Cross-entropy of all attributes, named from the whole picture."""
    total, start = torch.zeros((), device=guesses.device), 0
    for column, (attribute, known) in enumerate(attributes.items()):
        own = guesses[:, start : start + len(known)]
        total = total + WEIGHTS.get(attribute, 1.0) * cost(own, values[:, column])
        start += len(known)
    return total


def patch_loss(
    patches: torch.Tensor, covered: torch.Tensor, values: torch.Tensor, patch: int, things: int
) -> torch.Tensor:
    """Which of the things each patch shows, or none, and in which colour: (n, patches, logits) against (n, side, side).

    The first two values of a picture are its thing and its colour.
    """
    share = F.avg_pool2d(covered[:, None].float(), patch).flatten(1)
    kinds = things + 1
    thing = torch.where(share > COVERED, values[:, :1] + 1, 0)
    thing = torch.where((share > BARE) & (share <= COVERED), UNTOLD, thing)
    colour = torch.where(share > COVERED, values[:, 1:2], UNTOLD)
    by_thing = F.cross_entropy(patches[..., :kinds].flatten(0, 1), thing.flatten(), reduction="none")
    by_colour = F.cross_entropy(patches[..., kinds:].flatten(0, 1), colour.flatten(), reduction="none")
    # Bare patches are many and soon known: things and ground weigh alike.
    on, bare = thing.flatten() > 0, thing.flatten() == 0
    ground = (by_thing * bare).sum() / bare.sum().clamp(min=1)
    shown = ((by_thing + 0.5 * by_colour) * on).sum() / on.sum().clamp(min=1)
    return shown + ground


WORLD: World[Scene] = World(
    NAMING,
    SAID,
    tell,
    lambda number, seed, held_out: sample_scenes(number, seed, word_share=0.1, held_out=held_out),
    render_all,
    cover_all,
    lambda scene: scene.count == 1 and scene.size != "small",
)


def run_labels(plan: Plan, budget: Budget, held_out: int = 1000) -> dict[str, Any]:
    """Train and write the labels model; its shares of right answers, Chinese ones and unseen pairs marked."""
    stage = LabelsStage(plan.device, WORLD, new_tokenizer(), batch=32 * plan.batch_factor)
    teach(stage, plan, budget)
    return held_out_labels(plan, held_out)


def teach(stage: LabelsStage[S], plan: Plan, budget: Budget) -> None:
    """Train the stage and write its model."""
    stage.model.load_state_dict(train(stage, budget, folder=plan.build))
    clip: Any = stage.clip
    build: Any = CLIPProcessor
    with replacing(plan.models / "labels") as part:
        clip.half().save_pretrained(part)
        build(new_image_processor(stage.shape.side), stage.tokenizer).save_pretrained(part)


def held_out_labels(plan: Plan, number: int, world: World[S] = WORLD, side: int = 64) -> dict[str, float]:  # type: ignore[assignment]
    """The exported model's shares of right zero-shot answers on pictures of this side that it never saw."""
    model, processor = load_labels(plan.models / "labels")
    scenes, unseen = world.sample(number, 990_071, False), world.sample(max(1, number // 3), 990_072, True)
    pictures, of_unseen = ([to_pil_image(one) for one in world.paint(some, side)] for some in (scenes, unseen))
    figures = label_accuracy(model, processor, scenes, pictures, naming=world.naming)
    chinese = label_accuracy(model, processor, scenes, pictures, chinese=True, naming=world.naming)
    pairs = label_accuracy(model, processor, unseen, of_unseen, naming=world.naming)
    figures |= {f"{name}_zh": share for name, share in chinese.items()}
    return figures | {f"unseen_{name}": pairs[name] for name in ("thing", "colour")}
