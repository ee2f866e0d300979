"""What all stages share that teach a denoiser, and the exported picture model that some of them build on.

Those stages read the picture model from the folder that the product reads, so that scale, balance and rounding of
its weights are those their results will meet.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizer

from starter.painter import Pipeline, load_picture
from starter.train.plan import Plan
from starter.train.text import tokenize, tokenizer_of
from starter.train.vae import Vae, latents_of

S = TypeVar("S")


# The first eighth of the times, where eight steps never look, gets this share of the samples. Only a gentle change of a
# given picture needs it.
EARLY = 0.04


def _later(shares: torch.Tensor) -> torch.Tensor:
    """Shares from 0 to 1, evenly spread, as times of which EARLY are in the first eighth."""
    return torch.where(shares < EARLY, shares / EARLY / 8, 1 / 8 + (shares - EARLY) / (1 - EARLY) * 7 / 8)


def noised(
    latents: torch.Tensor, alphas: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The latents under noise, the time of each (n,), and the velocity that is to be predicted from them.

    `alphas` is the scheduler's `alphas_cumprod`, which holds the share of the signal's power at each time.
    """
    n, device = len(latents), latents.device
    # Evenly over the batch, which steadies small batches.
    even = (torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)) / n
    times = (_later(even) * len(alphas)).long().clamp(max=len(alphas) - 1)
    noise = torch.randn(latents.shape, generator=generator, device=device)
    signal = alphas[times].view(-1, 1, 1, 1)
    noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
    target = signal.sqrt() * noise - (1 - signal).sqrt() * latents
    return noisy, times, target


def exported_vae(plan: Plan) -> Vae:
    """The picture model's VAE as exported, in float32, not to be trained."""
    return load_vae_as_new(plan.models / "picture" / "vae").to(plan.device)


def load_vae_as_new(folder: Path) -> Vae:
    """The VAE in that folder, in float32, not to be trained."""
    untyped: Any = AutoencoderKL
    loaded = untyped.from_pretrained(folder)
    # As new: the loaded one would tell the next export where it lay on this machine.
    vae: Vae = untyped.from_config({name: value for name, value in loaded.config.items() if name[0] != "_"})
    vae.load_state_dict(loaded.state_dict())
    return vae.requires_grad_(False).eval()


def exported_tokenizer(plan: Plan) -> CLIPTokenizer:
    """The picture model's tokenizer as exported."""
    loaded = CLIPTokenizer.from_pretrained(plan.models / "picture" / "tokenizer")
    return tokenizer_of(loaded.backend_tokenizer)


def encode(vae: Vae, pictures: torch.Tensor) -> torch.Tensor:
    """Scaled latents, as the UNet paints them, of uint8 pictures (n, 3, side, side)."""
    return latents_of(vae, pictures) * float(vae.config.scaling_factor)


@torch.no_grad()
def decode(vae: Vae, latents: torch.Tensor) -> torch.Tensor:
    """uint8 pictures (n, 3, side, side) of scaled latents."""
    scale = float(vae.config.scaling_factor)
    pictures = torch.cat([vae.decode(batch / scale).sample for batch in torch.split(latents, 32)])
    return pictures.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def exported_weights(plan: Plan) -> dict[str, torch.Tensor]:
    """The exported picture model's weights as PictureStage names them, in float32."""
    pipeline = load_picture(plan.models / "picture").to("cpu")
    parts = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    return {f"{part}.{name}": weight for part, module in parts.items() for name, weight in module.state_dict().items()}


@dataclass(frozen=True, slots=True)
class Lessons(Generic[S]):
    """Scenes of a world, how they are painted at a side in pixels (uint8, (n, 3, side, side)), and how asked for."""

    scenes: Sequence[S]
    paint: Callable[[Sequence[S], int], torch.Tensor]
    say: Callable[[S, random.Random], str]


class FrozenPicture:
    """The exported picture model, which stays as it is while something beside it is taught."""

    def __init__(self, pipeline: Pipeline, device: torch.device) -> None:
        self.pipeline, self.device = pipeline.to(device), device
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False).eval()
        self.unet, self.vae = pipeline.unet, pipeline.vae
        self.alphas: torch.Tensor = pipeline.scheduler.alphas_cumprod.to(device)

    @classmethod
    def exported(cls, plan: Plan) -> FrozenPicture:
        """The picture model in the plan's folder of models."""
        return cls(load_picture(plan.models / "picture"), plan.device)

    def side(self) -> int:
        """The width and height in pixels that the model paints."""
        return int(self.unet.config.sample_size * self.pipeline.vae_scale_factor)

    def words(self, texts: list[str]) -> torch.Tensor:
        """The text tower's states for these texts, (n, positions, width)."""
        ids = tokenize(self.pipeline.tokenizer, texts).to(self.device)
        with torch.no_grad():
            states: torch.Tensor = self.pipeline.text_encoder(ids).last_hidden_state
        return states
