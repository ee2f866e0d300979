"""The control stage: a ControlNet on canny edges, taught beside the picture model's UNet, which stays as it is."""

from __future__ import annotations

import random
from typing import Any, Generic, TypeVar

import torch
from diffusers import ControlNetModel
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor, to_pil_image  # type: ignore[import-untyped]

from starter.captions import caption
from starter.control import control_prompts, controlled, edge_gain, edges_of
from starter.painter import Pipeline
from starter.render import render
from starter.train.diffusing import FrozenPicture, Lessons, encode, noised
from starter.train.export import replacing
from starter.train.loop import Budget, autocast, train
from starter.train.pictures import render_all, sample_scenes
from starter.train.plan import Plan
from starter.world import Scene

# One halving less than Stable Diffusion's: the embedding's stride must be the VAE's, and this VAE's is 4.
EMBEDDING = (16, 32, 64)
# This share of the captions stays unsaid. Edges must do without words, or the words would do without edges.
UNSAID = 0.4
S = TypeVar("S")


def new_control(unet: Any, embedding: tuple[int, ...] = EMBEDDING) -> Any:
    """An untrained ControlNet for that UNet, started from its first half."""
    untyped: Any = ControlNetModel
    control = untyped.from_unet(unet, conditioning_embedding_out_channels=embedding)
    control.requires_grad_(True)
    # The last layer of the embedding starts small rather than at nothing, as the layers after it already do so:
    # the edges are felt from the first step on, and the painting still starts as the UNet's own.
    nn.init.normal_(control.controlnet_cond_embedding.conv_out.weight, std=0.02)
    return control


def usual_lessons(scenes: int = 6000) -> Lessons[Scene]:
    """Scenes of all kinds."""
    return Lessons(sample_scenes(scenes, seed=51), render_all, caption)


class ControlStage(Generic[S]):
    """Predicts the velocity with the ControlNet's help, on scenes and their edges."""

    name = "control"
    ema_decay = 0.995
    warm_steps = 30

    def __init__(
        self,
        picture: FrozenPicture,
        lessons: Lessons[S],
        batch: int = 32,
        embedding: tuple[int, ...] = EMBEDDING,
    ) -> None:
        self.picture, self.lessons, self.batch = picture, lessons, batch
        self.control = new_control(picture.unet, embedding).to(picture.device)
        self.model: nn.Module = self.control
        latents, edges = [], []
        for start in range(0, len(lessons.scenes), 64):
            painted = lessons.paint(lessons.scenes[start : start + 64], picture.side())
            latents.append(encode(picture.vae, painted).half())
            lines = [edges_of(to_pil_image(one)).convert("L") for one in painted]
            edges.append(torch.stack([pil_to_tensor(one) > 127 for one in lines]))
        self.latents = torch.cat(latents).to(picture.device)
        self.edges = torch.cat(edges).to(picture.device)

    def groups(self) -> list[dict[str, Any]]:
        fresh = [p for name, p in self.control.named_parameters() if name.startswith("controlnet_")]
        known = [p for name, p in self.control.named_parameters() if not name.startswith("controlnet_")]
        # What is new has everything to learn, the copy of the UNet less.
        return [{"params": fresh, "lr": 4e-3}, {"params": known, "lr": 1.2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.picture.device
        chosen = torch.randint(len(self.latents), (self.batch,), generator=generator, device=device)
        noisy, times, target = noised(self.latents[chosen].float(), self.picture.alphas, generator)
        rng = random.Random(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        scenes = [self.lessons.scenes[number] for number in chosen.tolist()]
        words = self.picture.words(["" if rng.random() < UNSAID else self.lessons.say(scene, rng) for scene in scenes])
        edges = self.edges[chosen].float().expand(-1, 3, -1, -1)
        with autocast(device):
            down, middle = self.control(
                noisy, times, encoder_hidden_states=words, controlnet_cond=edges, return_dict=False
            )
            predicted = self.picture.unet(
                noisy,
                times,
                encoder_hidden_states=words,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
        loss = F.mse_loss(predicted.float(), target)
        return loss, {"loss": float(loss.detach())}


def run_control(plan: Plan, budget: Budget) -> dict[str, Any]:
    """Train and write the ControlNet; its gain in edges over the picture model alone."""
    picture = FrozenPicture.exported(plan)
    stage = ControlStage(picture, usual_lessons(), batch=32 * plan.batch_factor)
    prompts = control_prompts(48)
    pipeline = taught(stage, plan, budget)
    return edge_gain(pipeline, prompts, [render(prompt.scene, picture.side()) for prompt in prompts])


def taught(stage: ControlStage[S], plan: Plan, budget: Budget) -> Pipeline:
    """Train the stage and write its ControlNet; the picture model's pipeline with it."""
    stage.control.load_state_dict(train(stage, budget, folder=plan.build))
    with replacing(plan.models / "control") as part:
        stage.control.half().save_pretrained(part)
    return controlled(stage.picture.pipeline, stage.control.float().eval())
