"""The latents of Flux, whose pipeline takes them as rows of patches.

Everything of Easel's own knows latents of every family as (batch, channels, height, width). `passes` translates where
they go into a pipeline and where they come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FluxPipeline

from inference.catalog.entries import Family

_flux: Any = FluxPipeline


@dataclass(frozen=True)
class Packing:
    """How the pipeline of a family takes latents of this height and width; as they are, in all families but Flux."""

    family: Family
    height: int
    width: int

    def pack(self, latents: torch.Tensor) -> torch.Tensor:
        """From (batch, channels, height, width) to what the pipeline takes.

        For Flux that is (batch, height / 2 x width / 2, channels x 4): its patches are 2 by 2.
        """
        if self.family != "flux":
            return latents
        packed: torch.Tensor = _flux._pack_latents(latents, *latents.shape)
        return packed

    def unpack(self, latents: torch.Tensor) -> torch.Tensor:
        """The other way round."""
        if self.family != "flux":
            return latents
        # It asks for the size in pixels; at a factor of 1 that is the size of the latents.
        unpacked: torch.Tensor = _flux._unpack_latents(latents, self.height, self.width, vae_scale_factor=1)
        return unpacked
