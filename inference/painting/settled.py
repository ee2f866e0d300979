"""Pipelines that encode a picture themselves, to follow it or to paint in it: without noise that nobody asked for.

Their autoencoder makes a distribution of a picture, and several draw a place in it by chance, even by the chance of the
whole process. Here they get the likeliest place, always the same for the same picture.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.modeling_outputs import AutoencoderKLOutput

from inference.families.record import load_class
from inference.models.handles import PictureModel


class _Settled:
    """An autoencoder of diffusers that stands in for itself and whose `encode` leaves nothing to chance."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)

    def encode(self, pixels: torch.Tensor) -> AutoencoderKLOutput:
        """What the autoencoder makes of pixels, of which a sample is the mode."""
        found = self._vae.encode(pixels).latent_dist
        found.sample = lambda generator=None: found.mode()
        return AutoencoderKLOutput(latent_dist=found)


def pipeline(model: PictureModel, name: str, **further: Any) -> Any:
    """A pipeline of this name and of the parts of a loaded model, and further ones, that draws nothing for pictures.

    It decodes nothing: the model's own pipeline does.
    """
    parts = {**model.pipeline.components, "vae": _Settled(model.pipeline.vae)}
    made: Any = load_class(name)(**parts, **further, **model.family.settings)
    made.set_progress_bar_config(disable=True)
    return made
