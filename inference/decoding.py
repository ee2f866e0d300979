"""From latents to pictures, with the pipeline's own VAE: at full size for what is kept, pooled for a preview."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from inference.catalog import Family

PREVIEW_LATENTS = 32
"""The longer side that latents are pooled to before a preview is decoded."""


@torch.no_grad()
def decode(pipeline: Any, family: Family, latents: torch.Tensor) -> list[Image.Image]:
    """The pictures that these latents (batch, channels, height, width) stand for, as the pipeline itself decodes them.

    Decode pictures that are kept one at a time: then their bytes do not depend on each other, and memory stays small.
    """
    vae = pipeline.vae
    # SDXL's VAE overflows in float16 and decodes in float32; casting it up and down again loses nothing.
    upcast = family == "sdxl" and vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        vae.to(dtype=torch.float32)
    try:
        latents = latents.to(device=vae.device, dtype=vae.dtype)
        image = vae.decode(_unscaled(latents, vae.config), return_dict=False)[0]
    finally:
        if upcast:
            vae.to(dtype=torch.float16)
    pictures: list[Image.Image] = pipeline.image_processor.postprocess(image, output_type="pil")
    return pictures


def sketch(pipeline: Any, family: Family, latents: torch.Tensor) -> list[Image.Image]:
    """Small pictures of these latents, whatever their size, at the cost of a small decode."""
    height, width = latents.shape[-2:]
    factor = -(-max(height, width) // PREVIEW_LATENTS)
    if factor > 1:
        size = (max(1, height // factor), max(1, width // factor))
        latents = torch.nn.functional.interpolate(latents.float(), size=size, mode="area")
    return decode(pipeline, family, latents)


def _unscaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents in the VAE's own range. A family leaves what it does not use out of its VAE's configuration."""
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and std is not None:
        mean, std = (
            torch.tensor(values, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1) for values in (mean, std)
        )
        return latents * std / float(config.scaling_factor) + mean
    latents = latents / float(config.scaling_factor)
    shift = config.get("shift_factor")
    return latents if shift is None else latents + float(shift)
