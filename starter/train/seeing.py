"""How pictures come to a CLIP: in its processor's scale, and roughened as painted and enlarged ones are."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from transformers import CLIPImageProcessor
from transformers.image_utils import PILImageResampling


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures from 0 to 255 in the scale of CLIP's processor."""
    mean, std = (
        torch.tensor(v, device=pictures.device).view(3, 1, 1)
        for v in (CLIPImageProcessor.image_mean, CLIPImageProcessor.image_std)
    )
    return (pictures / 255 - mean) / std


def roughen(
    pictures: torch.Tensor, covered: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """What painted, enlarged and shrunk pictures are like: mirrored, shifted, soft, noisy, of other brightness.

    Takes and gives pictures from 0 to 255 and what covers them; both are mirrored and shifted alike.
    """
    side, device = pictures.shape[-1], pictures.device

    def draw(low: float, high: float, *size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator, device=device)

    done: list[torch.Tensor] = []
    masks: list[torch.Tensor] = []
    for group, mask in zip(pictures.chunk(8), covered.chunk(8), strict=True):
        dx, dy = (int(torch.randint(-4, 5, (1,), generator=generator, device=device)) for _ in range(2))
        group = F.pad(group, (4, 4, 4, 4), mode="replicate")[..., 4 + dy : 4 + dy + side, 4 + dx : 4 + dx + side]
        mask = F.pad(mask, (4, 4, 4, 4))[..., 4 + dy : 4 + dy + side, 4 + dx : 4 + dx + side]
        if len(done) % 2:
            group, mask = group.flip(-1), mask.flip(-1)
        if len(done) < 2:
            # As the upscaler and CLIP's processor leave a picture, or one painted without fine lines.
            between = (4 * side, int(side * draw(0.6, 0.95)))[len(done)]
            group = _resized(_resized(group, between), side)
        elif len(done) < 5:
            soft = F.avg_pool2d(F.pad(group, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
            group = torch.lerp(group, soft, float(draw(0.2, 1.0)))
        done.append(group)
        masks.append(mask)
    pictures, n = torch.cat(done), len(pictures)
    noise = torch.randn(pictures.shape, generator=generator, device=device)
    pictures = (pictures - 128) * draw(0.9, 1.08, n, 1, 1, 1) + 128 + draw(-10, 10, n, 1, 1, 1)
    return (pictures + noise * draw(0.0, 8.0, n, 1, 1, 1)).clamp(0, 255), torch.cat(masks)


def greyed(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures from 0 to 255 without their colours, each in a faint tint of its own."""
    tone = pictures.mean(1, keepdim=True)
    tint = 0.85 + 0.3 * torch.rand((len(pictures), 3, 1, 1), generator=generator, device=pictures.device)
    return (tone * tint).clamp(0, 255)


def _resized(pictures: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(pictures, (side, side), mode="bicubic", antialias=True)


def new_image_processor(side: int) -> CLIPImageProcessor:
    """CLIP's own: any picture to its middle square of `side` pixels, in CLIP's scale."""
    return CLIPImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        resample=PILImageResampling.BICUBIC,
    )
