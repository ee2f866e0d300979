"""The tiny decoder's stage: AutoencoderTiny, which shows a latent at a tenth of the VAE's cost, for previews.

By its class's convention it decodes the latents as the UNet paints them, scaled, and needs no scaling of its own.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from torch import nn
from torch.nn import functional as F

from starter.judge import MODELS
from starter.train.diffusing import decode, encode, exported_vae
from starter.train.export import replacing
from starter.train.loop import Budget, train
from starter.train.pictures import render_all, sample_scenes, to_signed
from starter.train.plan import Plan
from starter.train.vae import Vae, psnr

TINY = MODELS / "tiny"
Tiny = Any  # An AutoencoderTiny. Its own annotations hide its methods from mypy.


def new_tiny(width: int = 8, before: int = 2, halvings: int = 2, latents: int = 4) -> Tiny:
    """An untrained one, of a factor of 4. Its classes allow one width only; most work is done on the small grids."""
    larger = (0,) * (halvings - 2)
    return AutoencoderTiny(  # type: ignore[no-untyped-call]
        latent_channels=latents,
        encoder_block_out_channels=(width,) * (halvings + 1),
        decoder_block_out_channels=(width,) * (halvings + 1),
        num_encoder_blocks=(0, *larger, 1, 2),
        num_decoder_blocks=(before, 1, *larger, 0),
    )


def tiny_for(vae: Vae) -> Tiny:
    """An untrained one with the factor and the latents of the VAE."""
    config = vae.config
    return new_tiny(halvings=len(config.block_out_channels) - 1, latents=config.latent_channels)


class TinyStage:
    """Learns what the VAE makes of latents, and a little of the way back.

    Half of the latents lie between two renders' and carry noise: previews show unfinished pictures.
    """

    name = "tiny"
    ema_decay = 0.995
    warm_steps = 100

    def __init__(self, device: torch.device, vae: Vae, pictures: torch.Tensor, batch: int = 16) -> None:
        self.tiny = tiny_for(vae).to(device)
        self.model: nn.Module = self.tiny
        self.batch = batch
        self.latents, self.pictures = (t.to(device) for t in pairs(vae, pictures, seed=61))
        self.encoded = len(pictures) // 2

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.tiny.parameters()), "lr": 3e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.latents.device
        chosen = torch.randint(len(self.latents), (self.batch,), generator=generator, device=device)
        latents, target = self.latents[chosen], to_signed(self.pictures[chosen])
        painted = self.tiny.decode(latents).sample
        error = painted - target
        squared = error.square().mean()
        across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
        edges = across.square().mean() + down.square().mean()
        # Few of them, and only of whole pictures: the encoder is there for the class's sake.
        whole = torch.randint(self.encoded, (self.batch // 4,), generator=generator, device=device)
        back = F.mse_loss(self.tiny.encode(to_signed(self.pictures[whole])).latents, self.latents[whole])
        loss = error.abs().mean() + 2 * squared + edges + 0.1 * back
        return loss, {"psnr": float(psnr(squared)), "back": float(back.detach())}


def pairs(vae: Vae, pictures: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scaled latents, and what the VAE's decoder makes of them, uint8: half of the pictures, half mixed and noisy."""
    latents, number = encode(vae, pictures), len(pictures)
    generator = torch.Generator().manual_seed(seed)
    late = latents[number // 2 :]
    share, strength = (torch.rand((len(late), 1, 1, 1), generator=generator).to(late) for _ in range(2))
    noise = torch.randn(late.shape, generator=generator).to(late)
    mixed = late + 0.5 * share * (late.roll(1, 0) - late) + 0.3 * strength * noise
    latents = torch.cat([latents[: number // 2], mixed])
    return latents, decode(vae, latents)


def held_out_match(tiny: Tiny, vae: Vae, number: int = 64) -> dict[str, float]:
    """How near the tiny decoder comes to the VAE's on renders that neither saw, see `match`."""
    return match(tiny, vae, render_all(sample_scenes(number, seed=990_005), 64))


@torch.no_grad()
def match(tiny: Tiny, vae: Vae, pictures: torch.Tensor) -> dict[str, float]:
    """Decibels of the tiny decoder against the VAE's, of the tiny encoder's latents, and the share of the time."""
    latents = encode(vae, pictures)
    wanted = to_signed(decode(vae, latents))
    errors = (tiny.decode(latents).sample.clamp(-1, 1) - wanted).square().mean((1, 2, 3))
    device = latents.device
    back = tiny.encode(to_signed(pictures.to(device))).latents
    scale = float(vae.config.scaling_factor)
    rivals = ((tiny, latents[:1]), (vae, latents[:1] / scale))
    # The fastest of many, in turns: other work on the machine can only slow a decode down.
    tiny_s, vae_s = (
        min(times) for times in zip(*([_took_s(*rival) for rival in rivals] for _ in range(50)), strict=True)
    )
    return {
        "held_out_db": float((10 * torch.log10(4 / errors)).mean()),
        "time_share": tiny_s / vae_s,
        "encoder_error": float(F.mse_loss(back, latents) / latents.var()),
    }


def _took_s(model: Any, latents: torch.Tensor) -> float:
    begin = time.perf_counter()
    model.decode(latents).sample.cpu()
    return time.perf_counter() - begin


def export_tiny(folder: Path, tiny: Tiny) -> None:
    """Replace the folder by the tiny decoder in float16; the module stays as it is."""
    with replacing(folder) as part:
        copy.deepcopy(tiny).half().save_pretrained(part)
        # The class adds this to its settings, and complains of it when it reads them.
        settings = part / "config.json"
        stored = json.loads(settings.read_text())
        stored.pop("block_out_channels", None)
        settings.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n")


def run_tiny(plan: Plan, budget: Budget) -> dict[str, Any]:
    """Train and write the tiny decoder; how near it comes to the exported VAE."""
    vae = exported_vae(plan)
    pictures = render_all(sample_scenes(4000, seed=61, word_share=0.05), 64)
    stage = TinyStage(plan.device, vae, pictures, batch=16 * plan.batch_factor)
    stage.tiny.load_state_dict(train(stage, budget, folder=plan.build))
    export_tiny(plan.models / "tiny", stage.tiny)
    return held_out_match(stage.tiny.eval(), vae)
