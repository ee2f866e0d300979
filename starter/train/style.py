"""The style stage: a LoRA that teaches the picture model a style its training never showed."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import nn
from torch.nn import functional as F

from starter.captions import Shares, caption
from starter.judge import load_judge
from starter.painter import Pipeline
from starter.style import load_style, style_prompts, style_share
from starter.train.diffusing import FrozenPicture, Lessons, encode, noised
from starter.train.export import replacing
from starter.train.loop import Budget, autocast, train
from starter.train.pictures import render_all, sample_scenes
from starter.train.plan import Plan
from starter.world import LORA_STYLE, Scene

RANK = 12
# A style of light needs other textures and tones as well as another way to listen to words.
LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "conv1", "conv2", "conv_in", "conv_out")
ADAPTER = "style"
S = TypeVar("S")


def say(scene: Scene, rng: random.Random) -> str:
    """A random way to ask for the scene; the style comes with the weights, whatever is said of it."""
    return caption(scene, rng, Shares(style=0.3))


def usual_lessons(scenes: int = 3000) -> Lessons[Scene]:
    """Scenes of all kinds in the style."""
    drawn = [replace(scene, style=LORA_STYLE) for scene in sample_scenes(scenes, seed=71)]
    return Lessons(drawn, render_all, say)


class StyleStage(Generic[S]):
    """Predicts the velocity on scenes in the style; the UNet's own weights stay as they are."""

    name = "style"
    ema_decay = 0.99
    warm_steps = 20

    def __init__(self, picture: FrozenPicture, lessons: Lessons[S], batch: int = 32, rank: int = RANK) -> None:
        self.picture, self.lessons, self.batch = picture, lessons, batch
        # An alpha of the rank: then weight 1 adds what was trained, neither more nor less.
        picture.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(LAYERS)), ADAPTER)
        # The same parameters that the UNet holds, alone: what is saved, averaged and clipped.
        self.model: nn.Module = nn.ParameterList([p for p in picture.unet.parameters() if p.requires_grad])
        self.latents = encode(picture.vae, lessons.paint(lessons.scenes, picture.side())).half()

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.picture.device
        chosen = torch.randint(len(self.latents), (self.batch,), generator=generator, device=device)
        noisy, times, target = noised(self.latents[chosen].float(), self.picture.alphas, generator)
        rng = random.Random(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        scenes = [self.lessons.scenes[number] for number in chosen.tolist()]
        texts = ["" if rng.random() < 0.1 else self.lessons.say(scene, rng) for scene in scenes]
        with autocast(device):
            predicted = self.picture.unet(noisy, times, encoder_hidden_states=self.picture.words(texts)).sample
        loss = F.mse_loss(predicted.float(), target)
        return loss, {"loss": float(loss.detach())}


def export_style(folder: Path, stage: StyleStage[S]) -> None:
    """Replace the folder by the LoRA as `load_lora_weights` reads it, in float16."""
    layers = get_peft_model_state_dict(stage.picture.unet, adapter_name=ADAPTER)
    untyped: Any = StableDiffusionPipeline
    halves = {name: weight.half().cpu() for name, weight in layers.items()}
    with replacing(folder) as part:
        untyped.save_lora_weights(part, unet_lora_layers=halves)


def run_style(plan: Plan, budget: Budget) -> dict[str, Any]:
    """Train and write the LoRA; how often the judge sees its style at weight 1."""
    stage = StyleStage(FrozenPicture.exported(plan), usual_lessons(), batch=32 * plan.batch_factor)
    pipeline = taught(stage, plan, budget)
    return style_share(pipeline, load_judge(plan.models / "judge" / "judge.safetensors"), style_prompts(48))


def taught(stage: StyleStage[S], plan: Plan, budget: Budget) -> Pipeline:
    """Train the stage and write its LoRA; the picture model's pipeline with it at weight 1."""
    stage.model.load_state_dict(train(stage, budget, folder=plan.build))
    export_style(plan.models / "style", stage)
    pipeline = FrozenPicture.exported(plan).pipeline
    load_style(pipeline, plan.models / "style")
    return pipeline
