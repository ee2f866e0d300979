"""Paints prompts through the exported pipeline, exactly as a Stable Diffusion pipeline is used by the product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from starter.judge import MODELS

STEPS, GUIDANCE = 8, 3.0
Pipeline = Any  # A StableDiffusionPipeline. Its own annotations hide its methods from mypy.


class Asked(Protocol):
    """A sentence, and the seed to paint it with."""

    @property
    def text(self) -> str: ...

    @property
    def seed(self) -> int: ...


def load_picture(path: Path = MODELS / "picture") -> Pipeline:
    """The starter's picture model, in float32 on the GPU where there is one."""
    untyped: Any = StableDiffusionPipeline
    pipeline: Pipeline = untyped.from_pretrained(path, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")


def paint(
    pipeline: Pipeline, prompts: Sequence[Asked], steps: int = STEPS, guidance: float = GUIDANCE
) -> list[Image.Image]:
    """One picture a prompt; each depends on its own seed alone, not on its neighbours in a batch."""
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), 8):
        batch = prompts[start : start + 8]
        generators = [torch.Generator("cpu").manual_seed(prompt.seed) for prompt in batch]
        pictures += pipeline(
            [prompt.text for prompt in batch],
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
        ).images
    return pictures
