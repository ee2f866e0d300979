"""Real-ESRGAN: its networks loaded from .pth files and run on one picture at a time, in tiles where it is large.

It is imported when the first upscaler is loaded, because basicsr and its own imports take seconds. How large a tile
may be is `tiles`' business.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.transforms.functional  # type: ignore[import-untyped]
from PIL import Image

from inference.catalog.entries import UpscalerEntry
from inference.device import is_out_of_memory
from inference.errors import NotFinite, WeightsError
from inference.networks.finite import is_finite
from inference.networks.tiles import PADDING

log = logging.getLogger(__name__)

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


class TileTooLarge(Exception):
    """The device's memory does not hold a tile of this size, or the whole picture."""


class NetworkFailed(Exception):
    """The network broke on a tile, and not because the memory was full."""


class Upscaler:
    """One loaded Real-ESRGAN network."""

    def __init__(self, entry: UpscalerEntry, files: Sequence[Path], device: torch.device, dtype: torch.dtype) -> None:
        """Load the weights: the network's own file and, where the entry has one, its partner that keeps grain.

        Raises WeightsError where a file is not the network that the catalogue describes.
        """
        if entry.arch == "srvgg":
            self.network: torch.nn.Module = SRVGGNetCompact(
                num_in_ch=3,
                num_out_ch=3,
                num_feat=entry.num_feat,
                num_conv=entry.num_conv,
                upscale=entry.scale,
                act_type="prelu",
            )
        else:
            self.network = RRDBNet(
                num_in_ch=3,
                num_out_ch=3,
                scale=entry.scale,
                num_feat=entry.num_feat,
                num_block=entry.num_block,
                num_grow_ch=entry.num_grow_ch,
            )
        self.scale = entry.scale
        self._entry = entry
        self._files = [str(file) for file in files]
        self._device = device
        self._dtype = dtype
        self._overflows = False
        self._share: float | None = None
        if len(files) > 1:
            # Once, so that a broken partner is found out now and not by the first member who asks for it.
            self._load(denoise=0.5)
        self._load(denoise=1.0)

    def enlarge(
        self,
        picture: Image.Image,
        factor: int | None = None,
        *,
        tile: int = 0,
        denoise: float | None = None,
        before_tile: Callable[[], None] = lambda: None,
    ) -> Image.Image:
        """The picture `factor` times as wide and high (`scale` times without one), RGB or, as it came, RGBA.

        `tile` is the side of the tiles in pixels of the picture, 0 for the whole at once. `denoise`, for entries with
        a partner, goes from 0, which keeps grain, to 1, which smooths it away and is what None means.
        `before_tile` is called before each pass of the network, as often as `tiles.count` says; what it raises ends
        the work, unless it is a RuntimeError. Raises TileTooLarge where the memory is full, NotFinite where nothing
        comes of the picture, NetworkFailed where something else went wrong.
        """
        self._load(1.0 if denoise is None else denoise)
        enhancer = self._enhancer
        enhancer.tile_size = tile
        enhancer.model = self._watched(before_tile)
        # realesrgan speaks OpenCV's order, blue first.
        order = [2, 1, 0, 3] if picture.mode == "RGBA" else [2, 1, 0]
        pixels = np.asarray(picture if picture.mode == "RGBA" else picture.convert("RGB"))
        full = False
        try:
            # It prints a line for each tile.
            with contextlib.redirect_stdout(None):
                enlarged, _ = enhancer.enhance(pixels[:, :, order], outscale=factor)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            full = True
        finally:
            # It would keep the last picture, and the last result, on the device.
            enhancer.model, enhancer.img, enhancer.output = self.network, None, None
        if full:
            # Outside the handler, whose traceback would keep the memory.
            raise TileTooLarge
        return Image.fromarray(np.ascontiguousarray(enlarged[:, :, order]))

    def _load(self, denoise: float) -> None:
        """Let the network be its own weights and its partner's in this proportion."""
        share = denoise if len(self._files) > 1 else 1.0
        if share == self._share:
            return
        own, mixed = self._files[0], share < 1.0
        try:
            # It calls torch.load without `weights_only`, which is True by default in every torch we run on (2.6 on).
            self._enhancer: Any = RealESRGANer(
                scale=self.scale,
                model_path=self._files if mixed else own,
                dni_weight=[share, 1.0 - share] if mixed else None,
                model=self.network,
                tile_pad=PADDING,
                pre_pad=0,
                half=self._dtype == torch.float16,
                device=self._device,
            )
        except Exception as error:  # torch.load and load_state_dict raise half a dozen kinds for a wrong file
            reason = " ".join(str(error).split())[:200]
            files = " with ".join(self._files) if mixed else own
            text = f"{files} is no {self._entry.arch} network as the catalogue describes it: {reason}"
            raise WeightsError(text) from error
        self.network = self._enhancer.model.to(self._dtype)
        self._share = share

    def _watched(self, before: Callable[[], None]) -> Callable[[torch.Tensor], torch.Tensor]:
        """The network with a call before each pass, and with errors that get past RealESRGANer.

        A RuntimeError of a tile it prints, and then it goes on with the pixels of the tile before.
        """

        def run(tile: torch.Tensor) -> torch.Tensor:
            before()
            try:
                return self._pass(tile)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise NetworkFailed(str(error)) from error
            # Outside the handler, whose traceback would keep the memory.
            raise TileTooLarge

        return run

    def _pass(self, tile: torch.Tensor) -> torch.Tensor:
        """What the network makes of a tile, in float32 where that is no number in half precision."""
        title, dtype = self._entry.title, self._dtype
        for precision in dict.fromkeys((dtype, torch.float32)):
            try:
                made: torch.Tensor = self.network.to(precision)(tile.to(precision))
            finally:
                self.network.to(dtype)
            if is_finite(made):
                return made
            if precision != torch.float32 and not self._overflows:
                log.warning("%s makes what is no number in %s: such tiles are made again in float32", title, dtype)
                self._overflows = True
        log.error("%s makes what is no number, in float32 too", title)
        raise NotFinite("upscaler_makes_nothing", model=title)
