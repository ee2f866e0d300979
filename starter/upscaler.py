"""The starter upscalers as plain models: 64 px pictures to 256 px. The product loads the same files by Real-ESRGAN."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import nn

Arch = Literal["srvgg", "rrdb"]

FILES: dict[Arch, str] = {"srvgg": "x4.pth", "rrdb": "x4_rrdb.pth"}
UPSCALER = Path(__file__).parent / "models" / "upscaler" / FILES["srvgg"]
# Real-ESRGAN's two networks, small. models.toml names the same sizes.
SRVGG_SIZE = {"num_feat": 32, "num_conv": 8}
RRDB_SIZE = {"num_feat": 24, "num_block": 3, "num_grow_ch": 12}


def new_upscaler(arch: Arch = "srvgg") -> nn.Module:
    """An untrained upscaler, four times: Real-ESRGAN's compact network, or its full one with few blocks."""
    # First, because it makes Real-ESRGAN importable beside a present-day torchvision. Both take seconds.
    importlib.import_module("inference.networks.upscaler")
    from basicsr.archs.rrdbnet_arch import RRDBNet
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    if arch == "rrdb":
        network: nn.Module = RRDBNet(num_in_ch=3, num_out_ch=3, scale=4, **RRDB_SIZE)
        _start_as_enlargement(network)
    else:
        network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, upscale=4, act_type="prelu", **SRVGG_SIZE)
    return network


@torch.no_grad()
def _start_as_enlargement(network: Any) -> None:
    """Let an untrained RRDBNet repeat its input's pixels, which it would else take thousands of steps to find out.

    The compact network adds its enlarged input to its output; this one has no such way round, so three of its
    channels carry the picture.
    """
    for layer in (network.conv_first, network.conv_up1, network.conv_up2, network.conv_hr, network.conv_last):
        layer.weight[:3] = 0
        layer.bias[:3] = 0
        for channel in range(3):
            layer.weight[channel, channel, 1, 1] = 1
    nn.init.zeros_(network.conv_body.weight)
    nn.init.zeros_(network.conv_body.bias)


def load_upscaler(path: Path = UPSCALER) -> nn.Module:
    """The trained upscaler in that file, whichever of the two networks it is."""
    weights = torch.load(path, map_location="cpu", weights_only=True)["params"]
    network = new_upscaler("rrdb" if "conv_first.weight" in weights else "srvgg")
    network.load_state_dict(weights)
    return network.eval()


@torch.no_grad()
def enlarge(upscaler: nn.Module, picture: Image.Image) -> Image.Image:
    """The picture four times as wide and high."""
    pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255
    device = next(upscaler.parameters()).device
    large = upscaler(pixels.unsqueeze(0).to(device))[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray((large * 255).round().astype(np.uint8))


def blockiness(picture: Image.Image, block: int = 8) -> float:
    """How much more changes across the borders of pixel blocks than elsewhere: about 1 where there are none."""
    pixels = np.asarray(picture.convert("RGB")).astype(np.float32)
    borders, others = [], []
    for across in (pixels, pixels.transpose(1, 0, 2)):
        change = np.abs(across[:, 1:] - across[:, :-1]).mean((0, 2))
        on_border = np.arange(1, len(change) + 1) % block == 0
        borders.append(change[on_border].mean())
        others.append(change[~on_border].mean())
    return float(np.mean(borders) / max(1e-6, float(np.mean(others))))
