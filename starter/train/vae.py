"""The VAE stage: 64 px pictures to a 16x16 grid of four latents and back, sharply."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional as F

from starter.train.loop import autocast
from starter.train.pictures import render_all, sample_scenes, things_mask, to_signed

CHANNELS = (24, 48, 64)
Vae = Any  # An AutoencoderKL. Its own annotations hide its methods from mypy.


def new_vae(channels: tuple[int, ...] = CHANNELS) -> Vae:
    """An untrained VAE with the starter's shape; its residual branches start at nothing, which speeds the start."""
    levels = len(channels)
    vae: Vae = AutoencoderKL(  # type: ignore[no-untyped-call]
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
    )
    for name, parameter in vae.named_parameters():
        if "conv2." in name or "to_out.0." in name:
            nn.init.zeros_(parameter)
    return vae


class VaeStage:
    """Trains on all kinds of scenes, the LoRA's style among them: it shall paint that style, if not know it.

    Beside the distance of the pictures a term pulls the latents' covariance to that of white noise. Without it a
    small VAE puts most of its signal into brightness and leaves a direction unused; the noise of the diffusion then
    drowns the colours for most of the way.
    """

    name = "vae"
    ema_decay = 0.998
    warm_steps = 100

    def __init__(self, device: torch.device, pictures: int = 16_000, batch: int = 8, vae: Vae | None = None) -> None:
        self.vae = (vae or new_vae()).to(device)
        self.model: nn.Module = self.vae
        self.batch = batch
        scenes = sample_scenes(pictures, seed=11, word_share=0.1, neon_share=0.06)
        self.pictures = render_all(scenes, 64).to(device)
        self.things = things_mask(scenes, 64).to(device)

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.vae.parameters()), "lr": 2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator, device=device)
        target = to_signed(self.pictures[chosen])
        with autocast(device):
            posterior = self.vae.encode(target).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator, device=device)
            decoded = self.vae.decode(posterior.mean + posterior.std * noise).sample
        loss, figures = _distance(decoded.float(), target, self.things[chosen])
        uneven = unevenness(posterior.mean.float())
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        return loss + 0.1 * uneven + 1e-6 * kl, figures | {"uneven": float(uneven.detach())}


class DecoderStage:
    """Goes on with the decoder alone, so that latents (and what was trained on them) stay as they are.

    A little noise on the latents teaches it to paint crisply from what the picture model makes, too.
    """

    name = "decoder"
    ema_decay = 0.995
    warm_steps = 20

    def __init__(self, device: torch.device, vae: Vae, pictures: int = 6_000, batch: int = 8) -> None:
        self.vae = vae.to(device)
        self.model: nn.Module = nn.ModuleDict({"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv})
        self.batch = batch
        scenes = sample_scenes(pictures, seed=13, word_share=0.05, neon_share=0.06)
        self.pictures = render_all(scenes, 64).to(device)
        self.things = things_mask(scenes, 64).to(device)
        self.latents = latents_of(vae, self.pictures)
        self.spread = float(self.latents.std())

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 1e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator, device=device)
        target, latents = to_signed(self.pictures[chosen]), self.latents[chosen]
        noise = torch.randn(latents.shape, generator=generator, device=device)
        amount = 0.08 * self.spread * torch.rand((self.batch, 1, 1, 1), generator=generator, device=device)
        with autocast(device):
            decoded = self.vae.decode(latents + amount * noise).sample
        return _distance(decoded.float(), target, self.things[chosen])


def _distance(
    decoded: torch.Tensor, target: torch.Tensor, things: torch.Tensor
) -> tuple[torch.Tensor, dict[str, float]]:
    """Absolute and squared error, squared error of the edges (for sharp outlines) and of the colour without its light.

    Things cover little of a picture and small ones next to nothing, so their pixels weigh three times the others.
    """
    error = decoded - target
    weights = 1 + 2 * things.float()
    weights = weights / weights.mean()
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    edges = (weights[..., 1:] * across.square()).mean() + (weights[..., 1:, :] * down.square()).mean()
    colour = error - error.mean(1, keepdim=True)
    tone = (weights * (2 * colour.square() + 0.6 * colour.abs())).mean()
    loss = (weights * (error.abs() + 2 * error.square())).mean() + edges + tone
    return loss, {"psnr": float(psnr(error.square().mean()))}


def unevenness(latents: torch.Tensor) -> torch.Tensor:
    """How far the latents' cells are from mean zero and unit covariance; latents (n, channels, h, w)."""
    cells = latents.permute(0, 2, 3, 1).flatten(0, 2)
    mean = cells.mean(0)
    covariance = (cells - mean).T @ (cells - mean) / len(cells)
    return (covariance - torch.eye(len(covariance), device=cells.device)).square().mean() + mean.square().mean()


def psnr(squared: torch.Tensor) -> torch.Tensor:
    """Decibels from the mean squared error of pictures that range from -1 to 1."""
    return 10 * torch.log10(4.0 / squared.detach())


@torch.no_grad()
def latents_of(vae: Vae, pictures: torch.Tensor) -> torch.Tensor:
    """The latents, in the VAE's own range and on its device, of uint8 pictures (n, 3, side, side)."""
    device = next(vae.parameters()).device
    batches = torch.split(pictures, 64)
    return torch.cat([vae.encode(to_signed(batch.to(device))).latent_dist.mode() for batch in batches])


@torch.no_grad()
def held_out_psnr(vae: Vae, number: int = 128) -> float:
    """Mean decibels over rendered scenes that the training never saw."""
    device = next(vae.parameters()).device
    pictures = to_signed(render_all(sample_scenes(number, seed=990_001), 64).to(device))
    total = 0.0
    for batch in torch.split(pictures, 32):
        decoded = vae.decode(vae.encode(batch).latent_dist.mode()).sample.clamp(-1, 1)
        for one, target in zip(decoded, batch, strict=True):
            total += float(psnr(F.mse_loss(one, target)))
    return total / number


@torch.no_grad()
def measure_scale(vae: Vae, pictures: torch.Tensor) -> float:
    """The factor that brings the latents to a standard deviation of one."""
    return 1.0 / float(latents_of(vae, pictures).std())
