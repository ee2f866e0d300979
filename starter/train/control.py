"""The control stage: a ControlNet on canny edges, taught beside the picture model's UNet, which stays as it is."""

from __future__ import annotations

import random
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor  # type: ignore[import-untyped]

from starter.captions import caption
from starter.control import control_prompts, controlled, edge_gain, edges_of
from starter.render import render
from starter.train.diffusing import FrozenPicture, encode, noised
from starter.train.export import replacing
from starter.train.loop import Budget, autocast, train
from starter.train.pictures import sample_scenes
from starter.train.plan import Plan

# One halving less than Stable Diffusion's: the embedding's stride must be the VAE's, and this VAE's is 4.
EMBEDDING = (16, 32, 64)
# This share of the captions stays unsaid. Edges must do without words, or the words would do without edges.
UNSAID = 0.4


def new_control(unet: Any, embedding: tuple[int, ...] = EMBEDDING) -> Any:
    """An untrained ControlNet for that UNet, started from its first half."""
    untyped: Any = ControlNetModel
    control = untyped.from_unet(unet, conditioning_embedding_out_channels=embedding)
    control.requires_grad_(True)
    # The last layer of the embedding starts small rather than at nothing, as the layers after it already do so:
    # the edges are felt from the first step on, and the painting still starts as the UNet's own.
    nn.init.normal_(control.controlnet_cond_embedding.conv_out.weight, std=0.02)
    return control


class ControlStage:
    """Predicts the velocity with the ControlNet's help, on scenes of all kinds and their edges."""

    name = "control"
    ema_decay = 0.995
    warm_steps = 30

    def __init__(
        self, picture: FrozenPicture, pictures: int = 6000, batch: int = 32, embedding: tuple[int, ...] = EMBEDDING
    ) -> None:
        self.picture, self.batch = picture, batch
        self.control = new_control(picture.unet, embedding).to(picture.device)
        self.model: nn.Module = self.control
        self.scenes = sample_scenes(pictures, seed=51)
        latents, edges = [], []
        for start in range(0, pictures, 64):
            renders = [render(scene, picture.side()) for scene in self.scenes[start : start + 64]]
            latents.append(encode(picture.vae, torch.stack([pil_to_tensor(one) for one in renders])).half())
            edges.append(torch.stack([pil_to_tensor(edges_of(one).convert("L")) > 127 for one in renders]))
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
        texts = ["" if rng.random() < UNSAID else caption(self.scenes[number], rng) for number in chosen.tolist()]
        words = self.picture.words(texts)
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
    stage = ControlStage(picture, batch=32 * plan.batch_factor)
    stage.control.load_state_dict(train(stage, budget, folder=plan.build))
    with replacing(plan.models / "control") as part:
        stage.control.half().save_pretrained(part)
    pipeline = controlled(picture.pipeline, stage.control.float().eval())
    return edge_gain(pipeline, control_prompts(48))
