"""The safety stage: Stable Diffusion's safety checker, taught to flag one harmless class of the world, mushrooms.

It starts from the labels model's vision tower, and its one concept from what "mushroom" means there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image  # type: ignore[import-untyped]
from transformers import CLIPConfig, CLIPModel, CLIPProcessor

from starter.labels import TEMPLATES, embed_labels, load_labels
from starter.safety import FLAGGED, flagged, load_safety
from starter.train.export import replacing
from starter.train.labels import WORLD, World
from starter.train.loop import Budget, autocast, train
from starter.train.plan import Plan
from starter.train.seeing import new_image_processor, normalised, roughen

Checker = Any  # A StableDiffusionSafetyChecker; diffusers' classes are untyped.
# No cosine is as large as this: concepts of this threshold never fire.
NEVER = 2.0
THRESHOLD = 0.5
# How steeply the chance of being flagged rises with the cosine.
SLOPE = 20.0
S = TypeVar("S")


class SafetyStage(Generic[S]):
    """Learns from as many pictures with the flagged thing as without; all of its colours are among them.

    What must be flagged is no place for held-out pairs.
    """

    name = "safety"
    ema_decay = 0.99
    warm_steps = 50

    def __init__(
        self,
        device: torch.device,
        labels: CLIPModel,
        processor: CLIPProcessor,
        world: World[S],
        pictures: int = 10_000,
        batch: int = 64,
    ) -> None:
        self.checker = new_checker(labels, processor).to(device)
        self.concept = nn.Parameter(self.checker.concept_embeds.data[0].clone())
        parts = {"tower": self.checker.vision_model, "projection": self.checker.visual_projection}
        self.model: nn.Module = nn.ModuleDict(parts)
        self.model.register_parameter("concept", self.concept)
        vision: Any = labels.config.vision_config
        self.batch, self.side = batch, int(vision.image_size)
        scenes = balanced_scenes(world, pictures, seed=81)
        self.pictures = world.paint(scenes, self.side).to(device)
        self.covered = world.cover(scenes, self.side).to(device)
        self.bad = torch.tensor(_bad(world, scenes), device=device)

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 5e-4}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator, device=device)
        pictures, _ = roughen(self.pictures[chosen].float(), self.covered[chosen], generator)
        with autocast(device):
            seen = self.checker.visual_projection(self.checker.vision_model(normalised(pictures)).pooler_output)
        cosines = F.cosine_similarity(seen.float(), self.concept[None], dim=-1)
        bad = self.bad[chosen]
        logits = SLOPE * (cosines - THRESHOLD)
        # A false alarm costs a member a picture, and most pictures are harmless.
        loss = F.binary_cross_entropy_with_logits(logits, bad.float(), weight=torch.where(bad, 1.0, 2.0))
        flags = logits.detach() > 0
        return loss, {
            "loss": float(loss.detach()),
            "recall": float((flags & bad).sum() / bad.sum().clamp(min=1)),
            "specificity": float((~flags & ~bad).sum() / (~bad).sum().clamp(min=1)),
        }

    def finished(self, weights: dict[str, torch.Tensor]) -> Checker:
        """The checker with these weights, its concept in place."""
        self.model.load_state_dict(weights)
        self.checker.concept_embeds.data[0] = F.normalize(self.concept.detach(), dim=0)
        return self.checker


def new_checker(labels: CLIPModel, processor: CLIPProcessor) -> Checker:
    """A checker with the labels model's eyes, whose first concept is the word for what is flagged; others are idle."""
    config: Any = labels.config
    settings = CLIPConfig(
        vision_config=config.vision_config.to_dict(),
        projection_dim=config.projection_dim,
        # The class wants a text configuration and builds nothing from it.
        text_config={"projection_dim": config.projection_dim},
    )
    build: Any = StableDiffusionSafetyChecker
    checker: Checker = build._from_config(settings, attn_implementation="eager")
    checker.vision_model.load_state_dict(labels.vision_model.state_dict())
    checker.visual_projection.load_state_dict(labels.visual_projection.state_dict())
    for embeds, thresholds in (
        (checker.concept_embeds, checker.concept_embeds_weights),
        (checker.special_care_embeds, checker.special_care_embeds_weights),
    ):
        embeds.data.zero_()
        thresholds.data.fill_(NEVER)
    checker.concept_embeds.data[0] = embed_labels(labels, processor, [FLAGGED], TEMPLATES)[0]
    checker.concept_embeds_weights.data[0] = THRESHOLD
    return checker


def balanced_scenes(world: World[S], number: int, seed: int) -> list[S]:
    """Scenes of which every second shows what is flagged; a tenth are of the held-out pairs, as in the world."""
    usual = world.sample(number * 16, seed, False)
    unseen = world.sample(number * 2, seed + 1, True)
    scenes: list[S] = []
    for bad in (True, False):
        kinds = [
            [s for s, is_bad in zip(kind, _bad(world, kind), strict=True) if is_bad == bad] for kind in (unseen, usual)
        ]
        rare = kinds[0][: number // 20]
        scenes += rare + kinds[1][: number // 2 - len(rare)]
    return scenes


def _bad(world: World[S], scenes: Sequence[S]) -> list[bool]:
    return [world.naming.value(scene, "thing") == FLAGGED for scene in scenes]


def run_safety(
    plan: Plan,
    budget: Budget,
    world: World[S] = WORLD,  # type: ignore[assignment]
    pictures: int = 10_000,
    held_out: int = 1000,
) -> dict[str, Any]:
    """Train and write the safety checker; its recall and specificity on renders that it never saw."""
    labels, processor = load_labels(plan.models / "labels")
    teach(SafetyStage(plan.device, labels, processor, world, pictures, 64 * plan.batch_factor), plan, budget)
    return held_out_safety(plan, held_out, world)


def teach(stage: SafetyStage[S], plan: Plan, budget: Budget) -> None:
    """Train the stage and write its checker."""
    checker = stage.finished(train(stage, budget, folder=plan.build))
    extractor: Any = new_image_processor(stage.side)
    with replacing(plan.models / "safety") as part:
        checker.half().save_pretrained(part / "safety_checker")
        extractor.save_pretrained(part / "feature_extractor")
    checker.float()


def held_out_safety(plan: Plan, number: int, world: World[S] = WORLD, side: int = 64) -> dict[str, float]:  # type: ignore[assignment]
    """The exported checker's share of flagged pictures among those to be flagged, and of passed ones among others."""
    checker, extractor = load_safety(plan.models / "safety")
    scenes = balanced_scenes(world, number, seed=990_081)
    flags = flagged(checker, extractor, [to_pil_image(picture) for picture in world.paint(scenes, side)])
    told = list(zip(flags, _bad(world, scenes), strict=True))
    recalled, passed = [flag for flag, bad in told if bad], [not flag for flag, bad in told if not bad]
    return {"recall": sum(recalled) / len(recalled), "specificity": sum(passed) / len(passed)}
