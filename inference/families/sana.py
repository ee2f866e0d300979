"""SANA: a transformer of linear attention on rectified flow, whose autoencoder makes each 32 by 32 pixels one latent.

That one encodes to no distribution and is tiled by names of its own. A language model reads the words, below an
instruction of how to picture them, and its mask goes into the steps; samplers are those of Stable Diffusion, told of
flow. (Xie et al., SANA, 2024.)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inference.families.latents import Latents, scaled
from inference.families.record import Denoiser, Family
from inference.families.releases import Release, Shapes
from inference.families.samplers import DIFFUSION
from inference.families.words import Words

if TYPE_CHECKING:
    import torch


def _encode_words(pipeline: Any, prompt: str, negative: str, guided: bool) -> Sequence[Any]:
    # What its makers trained it to read a prompt with is a default of the call alone. Negative words go without.
    instruction = inspect.signature(pipeline.__call__).parameters["complex_human_instruction"].default
    encoded: Sequence[Any] = pipeline.encode_prompt(
        prompt=prompt,
        # It takes no None for it.
        negative_prompt=negative,
        do_classifier_free_guidance=guided,
        num_images_per_prompt=1,
        device=pipeline._execution_device,
        complex_human_instruction=instruction,
    )
    return encoded


def _encode_pixels(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    return scaled(vae.encode(pixels).latent, vae.config)


def _tile(vae: Any, side: int, factor: int) -> None:
    """Tiles of so many pixels that overlap by an eighth."""
    stride = side - max(factor, side // 8)
    vae.enable_tiling(side, side, stride, stride)


def _fits_lora(shapes: Shapes, config: Mapping[str, Any]) -> bool:
    # By the names of diffusers, in which they are published.
    widths = {
        shape[1]
        for name, shape in shapes.items()
        if name.startswith("transformer.transformer_blocks.")
        and name.endswith(".lora_A.weight")
        and (".attn1." in name or ".attn2." in name)
    }
    return widths == {config.get("num_attention_heads", 0) * config.get("attention_head_dim", 0)}


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
        # Its callback cannot change the mask of the words.
        between=None,
    ),
    latents=Latents(encode=_encode_pixels, tile=_tile, exact=True, preview=8),
    # Those that know flow's sigmas, for which its scheduler's configuration asks (`use_flow_sigmas`).
    samplers={name: DIFFUSION[name] for name in ("DPM++ 2M", "UniPC")},
    size_multiple=32,
    dtype="bfloat16",
    releases=(
        Release(
            title="SANA",
            defaults={
                "width": 1024,
                "height": 1024,
                "size_multiple": 32,
                "min_size": 512,
                "max_size": 2048,
                "max_pixels": 1572864,
                "steps": 20,
                "guidance": 4.5,
                "max_guidance": 15,
                "sampler": "DPM++ 2M",
            },
            by_name={
                "512px": {"width": 512, "height": 512, "min_size": 256, "max_size": 1024, "max_pixels": 393216},
            },
        ),
    ),
    fits_lora=_fits_lora,
)
