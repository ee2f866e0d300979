"""A family that Easel does not know, in the one file that it takes: Sana, on diffusers' own pipeline.

It shares little with those that Easel knows: its autoencoder makes each 32 by 32 pixels one latent and no
distribution, and is tiled by other names; a language model reads the words, whose mask goes into the steps; its
pipeline is told more, and its samplers are Stable Diffusion's on rectified flow. (Xie et al., SANA, 2024.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference.families.latents import Latents, scaled
from inference.families.record import Denoiser, Family
from inference.families.samplers import DIFFUSION
from inference.families.words import Words

if TYPE_CHECKING:
    import torch


def _encode_words(pipeline: Any, prompt: str, negative: str, guided: bool) -> Sequence[Any]:
    encoded: Sequence[Any] = pipeline.encode_prompt(
        prompt=prompt,
        # It takes no None for it.
        negative_prompt=negative,
        do_classifier_free_guidance=guided,
        num_images_per_prompt=1,
        device=pipeline._execution_device,
    )
    return encoded


def _encode_pixels(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    return scaled(vae.encode(pixels).latent, vae.config)


def tile(vae: Any, side: int, factor: int) -> None:
    """Tiles of so many pixels that overlap by an eighth."""
    overlap = max(factor, side // 8)
    vae.enable_tiling(side, side, side - overlap, side - overlap)


FAMILY = Family(
    name="sana",
    pipeline="SanaPipeline",
    # Sizes as they are asked for, and the negative side by its tensors alone.
    arguments={"use_resolution_binning": False, "negative_prompt": None},
    denoiser=Denoiser(component="transformer", compiles=False),
    words=Words(
        embeds=(
            "prompt_embeds",
            "prompt_attention_mask",
            "negative_prompt_embeds",
            "negative_prompt_attention_mask",
        ),
        encode=_encode_words,
    ),
    latents=Latents(encode=_encode_pixels, tile=tile, preview=8),
    # Those that know flow's sigmas, for which its scheduler's configuration asks (`use_flow_sigmas`).
    samplers={name: DIFFUSION[name] for name in ("DPM++ 2M", "UniPC")},
    size_multiple=32,
    dtype="bfloat16",
)
