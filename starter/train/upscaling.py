"""The upscalers' stage: from 64 px as the picture model paints them to 256 px as the renderer draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from starter.train.diffusing import decode, encode
from starter.train.loop import autocast
from starter.train.pictures import render_all, sample_scenes
from starter.train.vae import Vae
from starter.upscaler import Arch, blockiness, new_upscaler

CROP = 32
# Latents as wrong as this, as a share of their own strength, are what an undecided picture is made of.
UNDECIDED = 0.3
RATE: dict[Arch, float] = {"srvgg": 1.5e-3, "rrdb": 1e-3}


@dataclass(frozen=True, slots=True)
class Shown:
    """What an upscaler is to paint, uint8, (n, 3, side, side): `smooth` pictures, then pixel art, then photographs."""

    large: torch.Tensor
    smooth: int
    photographs: int = 0


def renders(number: int = 1400) -> Shown:
    """Renders at 256 px, as those of 64 px should be enlarged."""
    scenes = sample_scenes(number, seed=41, word_share=0.15)
    scenes.sort(key=lambda scene: scene.style == "pixel")
    return Shown(render_all(scenes, 256), sum(scene.style != "pixel" for scene in scenes))


class UpscalerStage:
    """Pairs of a render and itself shrunk; half of the small ones went through the VAE and back.

    So the upscaler learns to undo the VAE's softness, which every painted picture has. Only pixel art whose blocks
    can be seen is to come out as blocks: what is blurred or undecided is never pixel art.
    """

    ema_decay = 0.995
    warm_steps = 100

    def __init__(self, device: torch.device, vae: Vae, shown: Shown, arch: Arch = "srvgg", batch: int = 8) -> None:
        self.name = "upscaler" if arch == "srvgg" else f"upscaler-{arch}"
        self.model: nn.Module = new_upscaler(arch).to(device)
        self.rate, self.batch, self.smooth = RATE[arch], batch, shown.smooth
        drawn = len(shown.large) - shown.photographs
        undecided = UNDECIDED * torch.rand(drawn, generator=torch.Generator().manual_seed(43))
        # Some smooth pictures are as decided as pixel art, or a sharp picture would mean blocks.
        undecided[::4] = 0
        undecided[self.smooth :] = 0
        small, soft = shrink_pictures(shown.large[:drawn], vae, undecided)
        # The VAE knows drawings alone: of photographs it would leave nothing to enlarge.
        photographs = halve_twice(shown.large[drawn:])
        self.large = shown.large.to(device)
        self.small, self.soft = (torch.cat([kind, photographs]).to(device) for kind in (small, soft))

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": self.rate}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.large.device
        small, large = self._pairs(generator)
        # The first quarter is blurred and a little noise lies on all: generated pictures are never quite clean.
        quarter = self.batch // 4
        blurred = F.avg_pool2d(F.pad(small[:quarter], (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        share = 0.6 * torch.rand((), generator=generator, device=device)
        small = torch.cat([small[:quarter] * (1 - share) + blurred * share, small[quarter:]])
        noise = torch.randn(small.shape, generator=generator, device=device)
        small = small + noise * 0.015 * torch.rand((), generator=generator, device=device)
        with autocast(device):
            painted = self.model(small)
        error = painted.float() - large
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        loss = error.abs().mean() + 0.5 * edges
        return loss, {"psnr": float(10 * torch.log10(1 / error.detach().square().mean()))}

    def _pairs(self, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops, small and large, 0 to 1: a quarter soft and of no pixel art, a quarter soft, the others clean."""
        device, n = self.large.device, self.batch
        chosen = torch.randint(len(self.large), (n,), generator=generator, device=device)
        chosen[: n // 4] %= self.smooth
        corners = torch.randint(self.small.shape[-1] - CROP + 1, (n, 2), generator=generator, device=device).tolist()
        small, large = [], []
        for row, (number, (x, y)) in enumerate(zip(chosen.tolist(), corners, strict=True)):
            source = self.soft if row < n // 2 else self.small
            small.append(source[number, :, y : y + CROP, x : x + CROP])
            large.append(self.large[number, :, 4 * y : 4 * (y + CROP), 4 * x : 4 * (x + CROP)])
        return torch.stack(small).float() / 255, torch.stack(large).float() / 255


@torch.no_grad()
def shrink_pictures(
    large: torch.Tensor, vae: Vae, undecided: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures at a quarter of their width and height, and those through the VAE and back: uint8 both.

    `undecided` (n,) says how much noise the latents take, as a share of their strength: it stands for what the
    picture model gets wrong.
    """
    small = halve_twice(large)
    latents = encode(vae, small)
    if undecided is not None:
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(42)).to(latents)
        latents = latents + undecided.to(latents).view(-1, 1, 1, 1) * latents.std() * noise
    return small, decode(vae, latents).cpu()


def halve_twice(large: torch.Tensor) -> torch.Tensor:
    """uint8 pictures at a quarter of their width and height."""
    return torch.cat([F.avg_pool2d(batch.float(), 4).round() for batch in torch.split(large, 32)]).to(torch.uint8)


def held_out_gain(upscaler: nn.Module, vae: Vae, number: int = 48) -> dict[str, float]:
    """What the upscaler gains on renders that it never saw, see `gain`."""
    scenes = sample_scenes(number, seed=990_004)
    return gain(upscaler, vae, render_all(scenes, 256), torch.tensor([scene.style == "pixel" for scene in scenes]))


@torch.no_grad()
def gain(upscaler: nn.Module, vae: Vae, large: torch.Tensor, pixel: torch.Tensor) -> dict[str, float]:
    """Decibels of the upscaler and of bicubic, from clean and soft small pictures; `pixel` (n,) says what is pixel art.

    `pixel_blocks` and `undecided_blocks` are the blockiness of pixel art, enlarged from clean pictures, and of
    undecided pictures of the other styles: the first should be high, the second near 1.
    """
    small, soft = shrink_pictures(large, vae)
    _, undecided = shrink_pictures(large, vae, torch.full((len(large),), 0.25))
    target, figures, clean = large.float() / 255, {}, enlargements(upscaler, small)
    for kind, made in (("clean", clean), ("soft", enlargements(upscaler, soft))):
        for name, pictures in made.items():
            errors = (pictures - target).square().mean((1, 2, 3)).clamp(min=1e-6)
            figures[f"{kind}_{name}_db"] = float((10 * torch.log10(1 / errors)).mean())
    smooth = _enlarge_all(upscaler, undecided[~pixel])
    for name, pictures in (("pixel", clean["upscaler"][pixel]), ("undecided", smooth)):
        figures[f"{name}_blocks"] = sum(_blocks(one) for one in pictures) / max(1, len(pictures))
    return figures


def enlargements(upscaler: nn.Module, small: torch.Tensor) -> dict[str, torch.Tensor]:
    """uint8 pictures four times as large, 0 to 1, by the `upscaler` and by `bicubic`."""
    plain = F.interpolate(small.float() / 255, scale_factor=4, mode="bicubic").clamp(0, 1)
    return {"upscaler": _enlarge_all(upscaler, small), "bicubic": plain}


@torch.no_grad()
def _enlarge_all(upscaler: nn.Module, small: torch.Tensor) -> torch.Tensor:
    device = next(upscaler.parameters()).device
    return torch.cat([upscaler(batch.to(device).float() / 255).clamp(0, 1).cpu() for batch in torch.split(small, 16)])


def _blocks(picture: torch.Tensor) -> float:
    return blockiness(Image.fromarray((picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)))
