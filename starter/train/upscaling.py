"""The upscaler stage: from 64 px as the picture model paints them to 256 px as the renderer draws them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from starter.train.pictures import render_all, sample_scenes
from starter.train.vae import Vae
from starter.upscaler import new_upscaler

CROP = 32


class UpscalerStage:
    """Pairs of a render and itself shrunk; half of the small ones went through the VAE and back.

    So the upscaler learns to undo the VAE's softness, which every painted picture has.
    """

    name = "upscaler"
    ema_decay = 0.995
    warm_steps = 100

    def __init__(self, device: torch.device, vae: Vae, pictures: int = 1400, batch: int = 8) -> None:
        self.model: nn.Module = new_upscaler().to(device)
        self.batch = batch
        scenes = sample_scenes(pictures, seed=41, word_share=0.15)
        # Less pixel art than the world has, or soft edges of every style would be taken for blocks.
        scenes = [scene for scene in scenes if scene.style != "pixel" or scene.seed % 3 == 0]
        self.large = render_all(scenes, 256)
        self.small, self.soft = shrink_pictures(self.large, vae, noise=0.12)
        self.large, self.small, self.soft = (t.to(device) for t in (self.large, self.small, self.soft))

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 1.5e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.large.device
        rows = []
        chosen = torch.randint(len(self.large), (self.batch,), generator=generator, device=device).tolist()
        corners = torch.randint(64 - CROP + 1, (self.batch, 2), generator=generator, device=device).tolist()
        for turn, (number, (x, y)) in enumerate(zip(chosen, corners, strict=True)):
            source = self.small if turn % 2 == 0 else self.soft
            small = source[number, :, y : y + CROP, x : x + CROP]
            large = self.large[number, :, 4 * y : 4 * (y + CROP), 4 * x : 4 * (x + CROP)]
            rows.append((small, large))
        small = torch.stack([row[0] for row in rows]).float() / 255
        large = torch.stack([row[1] for row in rows]).float() / 255
        # A quarter is blurred and a little noise lies on all: generated pictures are never quite clean.
        soft = F.avg_pool2d(F.pad(small[: self.batch // 4], (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        share = 0.6 * torch.rand((), generator=generator, device=device)
        small = torch.cat([small[: self.batch // 4] * (1 - share) + soft * share, small[self.batch // 4 :]])
        noise = torch.randn(small.shape, generator=generator, device=device)
        small = small + noise * 0.015 * torch.rand((), generator=generator, device=device)
        painted = self.model(small)
        error = painted - large
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        loss = error.abs().mean() + 0.5 * edges
        return loss, {"psnr": float(10 * torch.log10(1 / error.detach().square().mean()))}


@torch.no_grad()
def shrink_pictures(large: torch.Tensor, vae: Vae, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """256 px pictures at 64 px, and those through the VAE and back: uint8 both.

    `noise` on the latents, as a share of their own strength, stands for what the picture model gets wrong.
    """
    device = next(vae.parameters()).device
    generator = torch.Generator().manual_seed(42)
    small = F.avg_pool2d(large.float(), 4)
    soft = []
    for batch in torch.split(small, 32):
        latents = vae.encode(batch.to(device) / 127.5 - 1).latent_dist.mode()
        amount = noise * float(latents.std())
        latents = latents + amount * torch.randn(latents.shape, generator=generator).to(device)
        soft.append((vae.decode(latents).sample.clamp(-1, 1) + 1).mul(127.5).cpu())
    return small.round().to(torch.uint8), torch.cat(soft).round().to(torch.uint8)


@torch.no_grad()
def held_out_gain(upscaler: nn.Module, vae: Vae, number: int = 48) -> dict[str, float]:
    """Decibels of the upscaler and of bicubic on renders never seen, from clean and from soft small pictures."""
    large = render_all(sample_scenes(number, seed=990_004), 256)
    small, soft = shrink_pictures(large, vae)
    figures = {}
    device = next(upscaler.parameters()).device
    for kind, source in (("clean", small), ("soft", soft)):
        pictures, target = source.float().to(device) / 255, large.float().to(device) / 255
        ours = torch.cat([upscaler(batch).clamp(0, 1) for batch in torch.split(pictures, 16)])
        plain = F.interpolate(pictures, scale_factor=4, mode="bicubic").clamp(0, 1)
        for name, made in (("upscaler", ours), ("bicubic", plain)):
            errors = (made - target).square().mean((1, 2, 3))
            figures[f"{kind}_{name}_db"] = float((10 * torch.log10(1 / errors)).mean())
    return figures
