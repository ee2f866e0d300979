"""Real-ESRGAN: its networks loaded from a .pth file and run on one picture at a time.

It is imported when the first upscaler is loaded, because basicsr and its own imports take seconds.
"""

from __future__ import annotations

import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.transforms.functional  # type: ignore[import-untyped]
from PIL import Image

from inference.catalog import UpscalerEntry
from inference.errors import WeightsError

# The one shim for basicsr 1.4.2: it imports `rgb_to_grayscale` from a private torchvision module that was
# removed in torchvision 0.17. The function itself lives on under its public name.
_functional_tensor = types.ModuleType("torchvision.transforms.functional_tensor")
_functional_tensor.__dict__["rgb_to_grayscale"] = torchvision.transforms.functional.rgb_to_grayscale
sys.modules.setdefault(_functional_tensor.__name__, _functional_tensor)

with warnings.catch_warnings():
    # basicsr's metrics, which are not used here, import `convolve` from scipy's old namespace.
    warnings.simplefilter("ignore", DeprecationWarning)
    from basicsr.archs.rrdbnet_arch import RRDBNet
    from realesrgan import RealESRGANer
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact


class Upscaler:
    """One loaded Real-ESRGAN network."""

    def __init__(self, entry: UpscalerEntry, path: Path, device: torch.device, half: bool) -> None:
        """Load the weights. Raises WeightsError where the file is not the network that the catalogue describes."""
        if entry.arch == "srvgg":
            network: torch.nn.Module = SRVGGNetCompact(
                num_in_ch=3,
                num_out_ch=3,
                num_feat=entry.num_feat,
                num_conv=entry.num_conv,
                upscale=entry.scale,
                act_type="prelu",
            )
        else:
            network = RRDBNet(
                num_in_ch=3,
                num_out_ch=3,
                scale=entry.scale,
                num_feat=entry.num_feat,
                num_block=entry.num_block,
                num_grow_ch=entry.num_grow_ch,
            )
        try:
            # It calls torch.load without `weights_only`, which is True by default in every torch we run on (2.6 on).
            self._enhancer: Any = RealESRGANer(
                scale=entry.scale, model_path=str(path), model=network, pre_pad=0, half=half, device=device
            )
        except Exception as error:  # torch.load and load_state_dict raise half a dozen kinds for a wrong file
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{path} is no {entry.arch} network as the catalogue describes it: {reason}") from error
        self.network: torch.nn.Module = self._enhancer.model
        self.scale = entry.scale

    def enlarge(self, picture: Image.Image) -> Image.Image:
        """The picture, `scale` times as wide and high, always by the same bytes for the same picture."""
        # realesrgan speaks OpenCV's order, blue first.
        blue_first = np.asarray(picture.convert("RGB"))[:, :, ::-1]
        enlarged, _ = self._enhancer.enhance(blue_first)
        return Image.fromarray(np.ascontiguousarray(enlarged[:, :, ::-1]))
