"""What a family is taught by, where LoRAs are trained for it. Imports no torch.

How far one is trained is the plan's (`training.plan`), which begins with what stands here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from inference.protocol import TrainingInfo

if TYPE_CHECKING:
    import torch

Words = Mapping[str, Any]
"""What a pipeline is told of words, batches by the names of `Words.embeds`."""

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""What diffusers' own scripts train of every attention."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How LoRAs are trained for a family."""

    learns: Literal["noise", "flow"]
    """What its denoiser was taught: to tell noise, or the velocity, from noisy latents by the steps of a diffusion
    (its scheduler says which), or the way of rectified flow."""
    predict: Callable[[Any, torch.Tensor, torch.Tensor, Words], torch.Tensor]
    """From the pipeline, noisy latents of Easel's form, the time of each as its scheduler counts them (0 to 1000), and
    words, to what the denoiser makes of them, in the form of the latents."""
    layers: tuple[str, ...] = ATTENTION
    """The ends of the names of those of its denoiser's layers that are trained."""
    textures: tuple[str, ...] = ()
    """Further ones, for a style: what lies between a picture's places rather than between its words and them."""
    encoders: tuple[str, ...] = ()
    """Its text encoders that can be trained besides, by the names of the pipeline's components."""
    encoder_layers: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "out_proj")
    rank: int = 16
    rate: float = 1e-4
    """Of AdamW at so many pictures a step. The guides' 1e-5 is for all of a model's weights; a LoRA begins with a half
    of zeros and has a hundredth of the numbers, and diffusers' and kohya's scripts take ten times as much for it."""
    steps: int = 1000
    together: int = 4
    """Pictures of one step, in as many batches as the memory needs."""
    epochs: int = 10
    """Into so many parts its steps are divided, each of which one may choose."""
    unsaid: float = 0.1
    """The share of pictures that are shown without their words, so that what guidance leads away from learns too; 0
    where one is told its guidance or was distilled from it, and never runs that side."""
    base: str
    """What kohya's trainers call such models in `ss_base_model_version`."""
    architecture: str
    """What the Stable Diffusion Model Specification calls them."""
    original_names: bool = False
    """Whether kohya's trainers name the denoiser's layers as its makers do (`Denoiser.originals`)."""

    def info(self, pixels: int) -> TrainingInfo:
        """What members are told of it, of a model that paints so many pixels."""
        return TrainingInfo(
            rank=self.rank,
            rate=self.rate,
            steps=self.steps,
            epochs=self.epochs,
            resolution=math.isqrt(pixels),
            encoders=bool(self.encoders),
        )
