"""What the next set's upscalers learn from: tableaux at 512 px, and photographs for textures that no drawing has."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from importlib.resources import files

import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import pil_to_tensor  # type: ignore[import-untyped]

from starter.next.pictures import paint_all, sample_tableaux
from starter.train.upscaling import Shown, enlargements, gain, halve_twice
from starter.train.vae import Vae

SIDE = 512
# Photographs in the public domain that come with scikit-image, and the side of the smallest parts cut out of them:
# enlarged any further they would teach to blur.
PHOTOGRAPHS = ("astronaut.png", "coffee.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "rocket.jpg")
HELD_OUT = ("brick.png", "camera.png")
LEAST = 400


def shown(drawn: int, photographs: int) -> Shown:
    """Tableaux, those in pixel art last, and crops of photographs."""
    tableaux = sample_tableaux(drawn, seed=141, word_share=0.25)
    tableaux.sort(key=lambda tableau: tableau.style == "pixel")
    large = torch.cat([paint_all(tableaux, SIDE), crops(PHOTOGRAPHS, photographs, seed=142)])
    return Shown(large, sum(tableau.style != "pixel" for tableau in tableaux), photographs)


def crops(names: Sequence[str], number: int, seed: int) -> torch.Tensor:
    """Random square parts of the photographs, turned and mirrored, brought to 512 px: uint8, (n, 3, 512, 512)."""
    rng = random.Random(seed)
    folder = files("skimage") / "data"
    pictures = {name: Image.open(io.BytesIO((folder / name).read_bytes())).convert("RGB") for name in names}
    parts = []
    for place in range(number):
        picture = pictures[names[place % len(names)]]
        side = rng.randint(LEAST, min(picture.size))
        x, y = rng.randint(0, picture.width - side), rng.randint(0, picture.height - side)
        part = picture.crop((x, y, x + side, y + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        turned = part.rotate(90 * rng.randrange(4))
        parts.append(pil_to_tensor(turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else turned))
    return torch.stack(parts)


def held_out_gain(upscaler: nn.Module, vae: Vae, number: int = 24) -> dict[str, float]:
    """What the upscaler gains on tableaux (see `gain`) and on photographs that it never saw."""
    tableaux = sample_tableaux(number, seed=990_141, word_share=0.1)
    pixel = torch.tensor([tableau.style == "pixel" for tableau in tableaux])
    figures = gain(upscaler, vae, paint_all(tableaux, SIDE), pixel)
    large = crops(HELD_OUT, max(2, number // 4), seed=990_142)
    for name, enlarged in enlargements(upscaler, halve_twice(large)).items():
        squared = (enlarged - large.float() / 255).square().mean((1, 2, 3))
        figures[f"photo_{name}_db"] = float((10 * torch.log10(1 / squared)).mean())
    return figures
