"""Stable Diffusion's safety checker: one loaded model, and what it flags.

(Rando et al., Red-Teaming the Stable Diffusion Safety Filter, 2022, describes what it compares.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from inference.pictures import images
from inference.silence import silenced


class Checker:
    """One loaded safety checker with its feature extractor."""

    def __init__(self, model: Any, extractor: Any) -> None:
        self.model = model
        self._extractor = extractor
        # It compares with thresholds, and what is no number is over none of them: it would let everything pass.
        model.visual_projection.register_forward_hook(_require_numbers)

    @torch.no_grad()
    def flags(self, picture: Image.Image) -> bool:
        """Whether this picture is flagged. One at a time and without chance: the same picture is so always or never."""
        seen = self._extractor(images=images.opaque(picture), return_tensors="pt")["pixel_values"]
        seen = seen.to(self.model.device, self.model.dtype)
        # It warns of every flagged picture: the member is told, and nothing is wrong here.
        with silenced("diffusers.pipelines.stable_diffusion.safety_checker"):
            # What it is given as the pictures it would blacken; the flags alone are of use here.
            _, (flagged,) = self.model(clip_input=seen, images=[np.zeros((1, 1, 3))])
        return bool(flagged)


def _require_numbers(_: torch.nn.Module, __: Any, seen: torch.Tensor) -> None:
    if not torch.isfinite(seen).all():
        raise FloatingPointError("the safety checker cannot tell: what it computes is no number")
