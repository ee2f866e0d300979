"""The latents of a family: what its pipeline and its autoencoder make of them. Imports no torch.

Everything of Easel's own knows latents as (batch, channels, height, width).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def as_they_are(latents: torch.Tensor, *_: int) -> torch.Tensor:
    """These latents."""
    return latents


def encoded(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """The latents of pixels by an autoencoder of diffusers that encodes to a distribution: always the same ones."""
    return scaled(vae.encode(pixels).latent_dist.mode(), vae.config)


def decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """What an autoencoder of diffusers, or a tiny one, shows of latents: both say in their configuration what they
    expect."""
    pixels: torch.Tensor = vae.decode(unscaled(latents.to(vae.dtype), vae.config), return_dict=False)[0]
    return pixels


def tile(vae: Any, side: int, factor: int) -> None:
    """Have an `AutoencoderKL` of this factor work in tiles of so many pixels, or smaller ones if it was trained on
    those."""
    side = min(vae.tile_sample_min_size, side)
    vae.tile_sample_min_size, vae.tile_latent_min_size = side, side // factor
    vae.enable_tiling()


def scaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents as the denoiser knows them, from the VAE's own range: `unscaled` the other way round."""
    spread = _spread(latents, config)
    if spread is not None:
        mean, std = spread
        return (latents - mean) * float(config.scaling_factor) / std
    shift = config.get("shift_factor")
    return (latents if shift is None else latents - float(shift)) * float(config.scaling_factor)


def unscaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
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
        None if values is None else latents.new_tensor(values).view(1, -1, 1, 1)
        for values in (config.get("latents_mean"), config.get("latents_std"))
    )
    return None if mean is None or std is None else (mean, std)


@dataclass(frozen=True, kw_only=True)
class Latents:
    """How latents go into a pipeline and out of it, and become pixels and back."""

    pack: Callable[[torch.Tensor], torch.Tensor] = as_they_are
    """From (batch, channels, height, width) to what the pipeline has between its steps."""
    given: Callable[[torch.Tensor], torch.Tensor] | None = None
    """The same to what it takes to begin with; None where that is the same."""
    unpack: Callable[[torch.Tensor, int, int], torch.Tensor] = as_they_are
    """The other way round, to this height and width of latents."""
    encode: Callable[[Any, torch.Tensor], torch.Tensor] = encoded
    """From the VAE and pixels of its type, (batch, 3, height, width) of -1 to 1, to latents as the denoiser knows
    them."""
    decode: Callable[[Any, torch.Tensor], torch.Tensor] = decoded
    """The other way round, from latents of any type."""
    tile: Callable[[Any, int, int], None] = tile
    """Has the VAE of this factor work in tiles of at most so many pixels, until its `disable_tiling` is called."""
    channels: str = "latent_channels"
    """What the VAE's configuration calls the number of channels."""
    exact: bool = False
    """Whether its pipeline keeps them in float32 from step to step, whatever type the weights have."""
    patch: int = 1
    """Of so many by so many of the VAE's latents each is made, which are its channels then."""
    upcast: bool = False
    """Whether its numbers overflow in float16, unless the VAE's configuration says that they do not
    (`force_upcast`)."""
    preview: int = 32
    """The longer side that latents are pooled to before the VAE decodes a preview."""
