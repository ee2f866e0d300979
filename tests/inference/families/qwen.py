"""Another family that Easel does not know, derived from one that it knows: Qwen-Image, on diffusers' own pipeline.

Its latents are packed as those of Flux, but its autoencoder is one of films: pixels and latents have a fifth dimension,
of one picture, and it calls them by another name. A language model reads each side for itself, at its own length.
(Qwen Team, Qwen-Image, 2025.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inference.families import flux
from inference.families.words import Words
from tests.inference.families.sana import tile

if TYPE_CHECKING:
    import torch


def _encode_words(pipeline: Any, prompt: str, negative: str, guided: bool) -> Sequence[Any]:
    # No words at all would leave its language model without a token; a space is what its makers give it.
    sides = (prompt, negative or " ") if guided else (prompt,)
    return [part for side in sides for part in pipeline.encode_prompt(side, device=pipeline._execution_device)]


def _encode_pixels(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    latents: torch.Tensor = vae.encode(pixels.unsqueeze(2)).latent_dist.mode().squeeze(2)
    mean, inverse = _spread(vae, latents)
    return (latents - mean) * inverse


def _decode_latents(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    latents = latents.to(vae.dtype)
    mean, inverse = _spread(vae, latents)
    pixels: torch.Tensor = vae.decode((latents / inverse + mean).unsqueeze(2), return_dict=False)[0]
    return pixels.squeeze(2)


def _spread(vae: Any, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (
        latents.new_tensor(values).view(1, -1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, 1.0 / std


FAMILY = replace(
    flux.FAMILY,
    name="qwen",
    pipeline="QwenImagePipeline",
    guidance="true_cfg_scale",
    words=Words(
        embeds=("prompt_embeds", "prompt_embeds_mask", "negative_prompt_embeds", "negative_prompt_embeds_mask"),
        encode=_encode_words,
    ),
    latents=replace(flux.FAMILY.latents, encode=_encode_pixels, decode=_decode_latents, tile=tile, channels="z_dim"),
    check_lora=None,
)
