"""The starter upscaler as a plain model: 64 px pictures to 256 px. The product loads the same file by Real-ESRGAN."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

UPSCALER = Path(__file__).parent / "models" / "upscaler" / "x4.pth"
FEATURES, CONVOLUTIONS = 32, 8


def new_upscaler() -> nn.Module:
    """An untrained upscaler: Real-ESRGAN's compact network, 32 features, 8 convolutions, four times."""
    # First, because it makes Real-ESRGAN importable beside a present-day torchvision. Both take seconds.
    importlib.import_module("inference.upscaling")
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    network: nn.Module = SRVGGNetCompact(
        num_in_ch=3, num_out_ch=3, num_feat=FEATURES, num_conv=CONVOLUTIONS, upscale=4, act_type="prelu"
    )
    return network


def load_upscaler(path: Path = UPSCALER) -> nn.Module:
    """The trained upscaler."""
    network = new_upscaler()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["params"])
    return network.eval()


@torch.no_grad()
def enlarge(upscaler: nn.Module, picture: Image.Image) -> Image.Image:
    """The picture four times as wide and high."""
    pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255
    device = next(upscaler.parameters()).device
    large = upscaler(pixels.unsqueeze(0).to(device))[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray((large * 255).round().astype(np.uint8))
