"""The starter's safety checker: Stable Diffusion's own class, which flags one harmless thing of the world."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPImageProcessor

from starter.judge import MODELS

SAFETY = MODELS / "safety"
# Harmless to everybody, so that moderation can be shown and tested for real.
FLAGGED = "mushroom"


def load_safety(folder: Path = SAFETY) -> tuple[Any, Any]:
    """The checker in float32 and its feature extractor: what a Stable Diffusion pipeline takes by those names."""
    checker: Any = StableDiffusionSafetyChecker.from_pretrained(folder / "safety_checker", dtype=torch.float32)
    extractor: Any = CLIPImageProcessor.from_pretrained(folder / "feature_extractor")
    return checker.eval(), extractor


def flagged(checker: Any, extractor: Any, pictures: Sequence[Image.Image]) -> list[bool]:
    """Whether the checker flags each picture, asked as the pipeline asks it."""
    # Of every flagged picture it warns as of something grave.
    logger = logging.getLogger("diffusers.pipelines.stable_diffusion.safety_checker")
    level = logger.level
    logger.setLevel(logging.ERROR)
    flags: list[bool] = []
    try:
        for start in range(0, len(pictures), 100):
            batch = list(pictures[start : start + 100])
            pixels = extractor(batch, return_tensors="pt").pixel_values.to(checker.device)
            flags += checker(clip_input=pixels, images=[np.zeros((1, 1, 3))] * len(batch))[1]
    finally:
        logger.setLevel(level)
    return flags
