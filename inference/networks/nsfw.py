"""nsfwjs' MobileNetV2, a small classifier of what is not for everybody's eyes: one loaded network, and what it flags.

(Infinite Red, nsfwjs 4, MIT; the network is Sandler et al., MobileNetV2, 2018, with a head of three layers.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn
from transformers import MobileNetV2Config, MobileNetV2Model

from inference.pictures import images

WEIGHTS = "model.safetensors"

CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
"""Of which each picture has its shares, which sum up to 1."""

EXPLICIT = ("hentai", "porn")
BAR = 0.6
"""The share of the explicit classes from which on a picture is flagged."""

SIDE = 224
"""Pixels of what it looks at."""


class Network(nn.Module):
    """From pictures (n, 3, 224, 224) of 0 to 1 to shares (n, 5) in the order of `CLASSES`."""

    def __init__(self) -> None:
        super().__init__()
        # Keras pads as TensorFlow does, and its batch normalisation has this epsilon.
        self.tower = MobileNetV2Model(MobileNetV2Config(tf_padding=True, layer_norm_eps=1e-3))
        self.head = nn.Sequential(nn.Linear(1280, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 5))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        shares: torch.Tensor = self.head(self.tower(pictures).pooler_output).softmax(dim=1)
        return shares


def load(file: Path) -> Network:
    """The network of a file of 8-bit numbers, of each tensor of which the metadata has a scale and a least value.

    Raises ValueError where a tensor is missing or of another shape.
    """
    with torch.device("meta"):
        network = Network()
    with safe_open(file, "pt") as opened:
        steps = json.loads((opened.metadata() or {})["steps"])
        tensors = {name: opened.get_tensor(name).float() * scale + least for name, (scale, least) in steps.items()}
    counters = {name: torch.tensor(0) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict(tensors | counters, assign=True)
    except RuntimeError as error:
        raise ValueError(f"its weights do not fit: {error}") from error
    return network.eval().requires_grad_(False)


class NsfwChecker:
    """One loaded classifier, as a checker of finished pictures."""

    def __init__(self, model: Any, _: None = None) -> None:
        """It needs no processor beside its network."""
        self.model = model

    @torch.no_grad()
    def shares(self, picture: Image.Image) -> dict[str, float]:
        """What the picture is taken for, by `CLASSES`. Raises FloatingPointError where that is no number."""
        pixels = torch.from_numpy(np.asarray(images.opaque(picture)).copy()).permute(2, 0, 1).unsqueeze(0)
        weight = next(self.model.parameters())
        seen = pixels.to(weight.device, weight.dtype) / 255
        # As nsfwjs makes them small.
        seen = nn.functional.interpolate(seen, (SIDE, SIDE), mode="bilinear", align_corners=True)
        [shares] = self.model(seen).float().cpu()
        if not torch.isfinite(shares).all():
            raise FloatingPointError("the checker cannot tell: what it computes is no number")
        return dict(zip(CLASSES, shares.tolist(), strict=True))

    def flags(self, picture: Image.Image) -> bool:
        """Whether it is explicit; the same picture always or never."""
        shares = self.shares(picture)
        return sum(shares[name] for name in EXPLICIT) >= BAR
