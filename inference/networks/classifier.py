"""CLIP: one loaded model that says how well labels fit a picture, without having been trained for these labels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from inference.networks.filling import filled
from inference.pictures import images

KEPT = 1000
"""Encoded labels kept per model, a few kilobytes each."""


class Classifier:
    """One loaded CLIP model with its processor, and the labels that it encoded last."""

    def __init__(self, model: Any, processor: Any, batch: int = 1) -> None:
        """`batch` pictures are in every pass: fewer are filled up with copies, so that no picture's numbers depend on
        how many are beside it."""
        self.model = model
        self.batch = batch
        self._processor = processor
        self._kept: OrderedDict[tuple[str, tuple[str, ...]], torch.Tensor] = OrderedDict()

    def shares(self, picture: Image.Image, labels: Sequence[str], templates: Sequence[str]) -> list[float]:
        """How well each label fits, in the order of the labels; together they are 1."""
        return self.fit(self.looks([picture])[0], labels, templates)

    @torch.no_grad()
    def looks(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """What the model sees in these pictures, `batch` of them at most: for each a direction of length 1."""
        # One by one: pictures of one size would be made smaller together.
        seen = [
            self._processor(images=images.opaque(picture), return_tensors="pt")["pixel_values"] for picture in pictures
        ]
        pixels = torch.cat(filled(seen, self.batch)).to(self.model.device, self.model.dtype)
        return _unit(self.model.get_image_features(pixel_values=pixels).pooler_output)[: len(pictures)]

    @torch.no_grad()
    def fit(self, look: torch.Tensor, labels: Sequence[str], templates: Sequence[str]) -> list[float]:
        """How well each label fits what was seen in a picture, in the order of the labels; together they are 1.

        A label stands for the mean of what its sentences say: every template with the label in place of `{}`.
        (Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, section 3.1.4.)
        """
        texts = torch.stack([self._encoded(label, tuple(templates)) for label in labels])
        logits = texts @ look * self.model.logit_scale.float().exp()
        shares: list[float] = logits.softmax(dim=0).tolist()
        return shares

    @torch.no_grad()
    def closeness(self, look: torch.Tensor, words: str) -> float:
        """The cosine of what was seen in a picture and what these words say, from -1 to 1."""
        return float(self._encoded(words, ("{}",)) @ look.to(self.model.device))

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
