"""Qwen-Image: a transformer on rectified flow that reads words, in many languages, by a language model.

Its latents are packed as those of Flux, but its autoencoder is one of films: pixels and latents have a fifth dimension,
of one picture. Each side of its words is read for itself, at its own length. (Qwen Team, Qwen-Image, 2025.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference.families import flux
from inference.families.latents import Latents
from inference.families.record import Control, Denoiser, Family, as_control_image, load_class
from inference.families.samplers import FLOW
from inference.families.words import Words

if TYPE_CHECKING:
    import torch


def without_marks(words: str) -> str:
    """These words without the marks by which a language model tells who speaks and where a picture stands."""
    return words.replace("<|", "< |")


def encode_sides(pipeline: Any, prompt: str, negative: str, guided: bool, **further: Any) -> Sequence[Any]:
    """States and mask of each side that is run; `further` is what `encode_prompt` is told besides."""
    # No words at all would leave its language model without a token; a space is what its makers give it.
    sides = (prompt, negative or " ") if guided else (prompt,)
    encoded: list[Any] = []
    for side in sides:
        states, mask = pipeline.encode_prompt(
            prompt=without_marks(side), device=pipeline._execution_device, **LENGTH, **further
        )
        # It leaves out one that hides nothing, and warns where none is given.
        encoded += [states, states.new_ones(states.shape[:2], dtype=int) if mask is None else mask]
    return encoded


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
    """Mean and inverse of the standard deviation of each channel; divided by as its pipeline does, to the last bit."""
    mean, std = (
        latents.new_tensor(values).view(1, -1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, 1.0 / std


def _tile(vae: Any, side: int, factor: int) -> None:
    """Tiles of so many pixels that overlap by an eighth."""
    stride = side - max(factor, side // 8)
    vae.enable_tiling(side, side, stride, stride)


def _together(networks: Sequence[Any]) -> Any:
    """What its pipeline takes to follow several pictures by one network, one after the other."""
    return load_class("QwenImageMultiControlNetModel")([networks[0]])


LENGTH = {"max_sequence_length": 1024}
"""Of words, in tokens: as many as its template leaves room for. Its pipelines cut at half of that otherwise."""

FAMILY = Family(
    name="qwen",
    pipeline="QwenImagePipeline",
    arguments=LENGTH,
    guidance="true_cfg_scale",
    control=Control(
        pipeline="QwenImageControlNetPipeline",
        network="QwenImageControlNetModel",
        told=as_control_image,
        together=_together,
        of_one_network=True,
        reads_besides="extra_condition_channels",
    ),
    denoiser=Denoiser(component="transformer", attention_backends=True, masked_attention=True),
    words=Words(
        embeds=("prompt_embeds", "prompt_embeds_mask", "negative_prompt_embeds", "negative_prompt_embeds_mask"),
        encode=encode_sides,
        apart=True,
    ),
    latents=Latents(
        pack=flux.FAMILY.latents.pack,
        unpack=flux.FAMILY.latents.unpack,
        encode=_encode_pixels,
        decode=_decode_latents,
        tile=_tile,
        channels="z_dim",
    ),
    samplers=FLOW,
    spacing=flux.FAMILY.spacing,
    size_multiple=16,
    dtype="bfloat16",
)
