"""CLIP: one loaded model that says how well labels fit a picture, without having been trained for these labels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from inference.pictures import images

KEPT = 1000
"""Encoded labels kept per model, a few kilobytes each."""


class Classifier:
    """One loaded CLIP model with its processor, and the labels that it encoded last."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self._processor = processor
        self._kept: OrderedDict[tuple[str, tuple[str, ...]], torch.Tensor] = OrderedDict()

    @torch.no_grad()
    def shares(self, picture: Image.Image, labels: Sequence[str], templates: Sequence[str]) -> list[float]:
        """How well each label fits, in the order of the labels; together they are 1.

        A label stands for the mean of what its sentences say: every template with the label in place of `{}`.
        (Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, section 3.1.4.)
        """
        seen = self._processor(images=images.opaque(picture), return_tensors="pt")["pixel_values"]
        seen = seen.to(self.model.device, self.model.dtype)
        image = _unit(self.model.get_image_features(pixel_values=seen).pooler_output)[0]
        texts = torch.stack([self._encoded(label, tuple(templates)) for label in labels])
        logits = texts @ image * self.model.logit_scale.float().exp()
        shares: list[float] = logits.softmax(dim=0).tolist()
        return shares

    def _encoded(self, label: str, templates: tuple[str, ...]) -> torch.Tensor:
        """The label as the model reads it, of length 1. Alone, so that it is the same whatever stands beside it."""
        key = (label, templates)
        if key not in self._kept:
            sentences = [template.replace("{}", label) for template in templates]
            # The tokenizer of a folder does not always know how much its model reads.
            window = self.model.config.text_config.max_position_embeddings
            tokens = self._processor(
                text=sentences, padding=True, truncation=True, max_length=window, return_tensors="pt"
            )
            features = self.model.get_text_features(**tokens.to(self.model.device)).pooler_output
            self._kept[key] = _unit(_unit(features).mean(dim=0))
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _unit(features: torch.Tensor) -> torch.Tensor:
    """These vectors, in float32 and of length 1."""
    return torch.nn.functional.normalize(features.float(), dim=-1)
