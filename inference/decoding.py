"""Between latents and pictures: with the pipeline's own VAE for what is kept, pooled for a preview, by a tiny decoder
where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image

from inference import placement
from inference.entries import Family

PREVIEW_LATENTS = 32
"""The longer side that latents are pooled to before the VAE decodes a preview."""
TINY_LATENTS = 64
"""The same for a tiny decoder, which costs about a tenth of the VAE: at the usual factor of 8 this is all that a
preview shows (`images.PREVIEW_PIXELS`), and still cheaper than the VAE's quarter of it."""


@torch.no_grad()
def decode(pipeline: Any, family: Family, latents: torch.Tensor) -> list[Image.Image]:
    """The pictures that these latents (batch, channels, height, width) stand for, as the pipeline itself decodes them.

    Decode pictures that are kept one at a time: then their bytes do not depend on each other, and memory stays small.
    """
    with _precise(pipeline, family) as vae:
        return _decoded(pipeline, vae, latents.to(pipeline._execution_device))


@torch.no_grad()
def encode(pipeline: Any, family: Family, picture: Image.Image) -> torch.Tensor:
    """The latents (1, channels, height, width) of an RGB picture, float32 on the CPU; always the same for the same."""
    pixels = pipeline.image_processor.preprocess(picture)
    with _precise(pipeline, family) as vae:
        latents = vae.encode(pixels.to(device=pipeline._execution_device, dtype=vae.dtype)).latent_dist.mode()
        scaled: torch.Tensor = _scaled(latents, vae.config).float().cpu()
    return scaled


@torch.no_grad()
def sketch(pipeline: Any, family: Family, latents: torch.Tensor, decoder: Any | None = None) -> list[Image.Image]:
    """Small pictures of these latents, whatever their size, at the cost of a small decode.

    `decoder` is an AutoencoderTiny of the pipeline's latents; without one its VAE decodes fewer of them.
    """
    height, width = latents.shape[-2:]
    factor = -(-max(height, width) // (PREVIEW_LATENTS if decoder is None else TINY_LATENTS))
    if factor > 1:
        size = (max(1, height // factor), max(1, width // factor))
        latents = torch.nn.functional.interpolate(latents.float(), size=size, mode="area")
    if decoder is None:
        return decode(pipeline, family, latents)
    return _decoded(pipeline, decoder, latents.to(decoder.device))


def _decoded(pipeline: Any, autoencoder: Any, latents: torch.Tensor) -> list[Image.Image]:
    """Pictures by an autoencoder of either kind: both give -1 to 1, and say in their configuration what they expect."""
    latents = _unscaled(latents.to(autoencoder.dtype), autoencoder.config)
    image = autoencoder.decode(latents, return_dict=False)[0]
    pictures: list[Image.Image] = pipeline.image_processor.postprocess(image, output_type="pil")
    return pictures


@contextmanager
def _precise(pipeline: Any, family: Family) -> Iterator[Any]:
    """The VAE in the precision that it works in; where it is on the device for its work alone, it leaves at the end."""
    vae = pipeline.vae
    # SDXL's VAE overflows in float16 and works in float32; casting it up and down again loses nothing.
    upcast = family == "sdxl" and vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        vae.to(dtype=torch.float32)
    try:
        yield vae
    finally:
        if upcast:
            vae.to(dtype=torch.float16)
        placement.rest(pipeline)


def _scaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents as the denoiser knows them, from the VAE's own range: `_unscaled` the other way round."""
    spread = _spread(latents, config)
    if spread is not None:
        mean, std = spread
        return (latents - mean) * float(config.scaling_factor) / std
    shift = config.get("shift_factor")
    return (latents if shift is None else latents - float(shift)) * float(config.scaling_factor)


def _unscaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents in the VAE's own range. A family leaves what it does not use out of its VAE's configuration."""
    spread = _spread(latents, config)
    if spread is not None:
        mean, std = spread
        return latents * std / float(config.scaling_factor) + mean
    latents = latents / float(config.scaling_factor)
    shift = config.get("shift_factor")
    return latents if shift is None else latents + float(shift)


def _spread(latents: torch.Tensor, config: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mean and standard deviation of each latent channel, where the VAE's configuration has them."""
    mean, std = (
        None if values is None else torch.tensor(values, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1)
        for values in (config.get("latents_mean"), config.get("latents_std"))
    )
    return None if mean is None or std is None else (mean, std)
