"""Upscalers: networks loaded from their files and run on one picture at a time, in tiles where it is large.

It is imported when the first upscaler is loaded, because basicsr and its own imports take seconds. How large a tile
may be is `tiles`' business, what a file is that nobody describes that of the catalogue's `architectures`.
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

from inference.catalog import architectures
from inference.catalog.entries import UpscalerEntry
from inference.device import is_out_of_memory
from inference.errors import NotFinite, WeightsError
from inference.networks import found, tiles
from inference.networks.finite import Overflowed, is_finite, require_finite
from inference.networks.tiles import PADDING, TileTooLarge

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


class NetworkFailed(Exception):
    """The network broke on a tile, and not because the memory was full."""


class Upscaler:
    """One loaded network that enlarges."""

    def __init__(self, entry: UpscalerEntry, files: Sequence[Path], device: torch.device, dtype: torch.dtype) -> None:
        """Load the weights: the network's own file and, where the entry has one, its partner that keeps grain.

        What the network is says the entry, where it names an `arch`, else the file. `dtype` is wanted; what is
        computed in stands in the attribute of that name. Raises WeightsError where a file is another network.
        """
        self._entry = entry
        self._files = files
        self._device = device
        self._overflows = False
        self._share = 1.0
        if entry.arch is None:
            descriptor = found.load(files[0], "upscaler")
            self.network: torch.nn.Module = descriptor.model
            self.scale: int = descriptor.scale
            self.dtype = found.dtype(descriptor, entry.dtype, dtype)
            self.appetite = found.appetite(descriptor)
            self._run: Callable[[torch.Tensor], torch.Tensor] = found.on_colours(descriptor)
            # spandrel makes white of infinity.
            require_finite(self.network)
        else:
            self.network = self._run = _described(entry)
            # The catalogue was checked.
            self.scale, self.dtype, self.appetite = entry.scale or 1, dtype, tiles.appetite(entry)
            self._fill(1.0)
        if len(files) > 1:
            # Once, so that a broken partner is found out now and not by the first member who asks for it.
            self._mix(0.5)
            self._mix(1.0)
        self.network.eval().to(device, self.dtype)
        self._tiler = _Tiler(self.scale, device, self.dtype)

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
        self._mix(1.0 if denoise is None else denoise)
        enhancer = self._tiler
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
            enhancer.model = enhancer.img = enhancer.output = None
        if full:
            # Outside the handler, whose traceback would keep the memory.
            raise TileTooLarge
        return Image.fromarray(np.ascontiguousarray(enlarged[:, :, order]))

    def _mix(self, denoise: float) -> None:
        """Let the network be its own weights and its partner's in this proportion."""
        share = denoise if len(self._files) > 1 else 1.0
        if share != self._share:
            self._fill(share)
            self._share = share

    def _fill(self, share: float) -> None:
        own, mixed = self._files[0], share < 1.0
        try:
            tensors = self._tensors(own)
            if mixed:
                others = self._tensors(self._files[1])
                tensors = {
                    # Deep network interpolation, as Real-ESRGAN does it; what counts places is no weight.
                    name: share * tensor + (1.0 - share) * others[name] if tensor.is_floating_point() else tensor
                    for name, tensor in tensors.items()
                }
            self.network.load_state_dict(tensors)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:200]
            files = " with ".join(str(file) for file in self._files) if mixed else own
            kind = "one network" if self._entry.arch is None else f"{self._entry.arch} network"
            raise WeightsError(f"{files} is no {kind} as the catalogue describes it: {reason}") from error

    def _tensors(self, file: Path) -> dict[str, torch.Tensor]:
        if self._entry.arch is not None:
            return architectures.state(file)
        made: dict[str, torch.Tensor] = found.load(file, "upscaler").model.state_dict()
        return made

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
        title, dtype = self._entry.title, self.dtype
        for precision in dict.fromkeys((dtype, torch.float32)):
            try:
                self.network.to(precision)
                made = self._run(tile.to(precision))
                if is_finite(made):
                    return made
            except Overflowed:
                pass
            finally:
                self.network.to(dtype)
            if precision != torch.float32 and not self._overflows:
                log.warning("%s makes what is no number in %s: such tiles are made again in float32", title, dtype)
                self._overflows = True
        log.error("%s makes what is no number, in float32 too", title)
        raise NotFinite("upscaler_makes_nothing", model=title)


class _Tiler(RealESRGANer):  # type: ignore[misc]
    """RealESRGANer, which cuts pictures up and puts them together, without the loading that it begins with."""

    def __init__(self, scale: int, device: torch.device, dtype: torch.dtype) -> None:
        self.scale, self.device, self.half = scale, device, dtype == torch.float16
        self.tile_size, self.tile_pad, self.pre_pad, self.mod_scale = 0, PADDING, 0, None
        self.model: Any = None


def _described(entry: UpscalerEntry) -> Any:
    """One of Real-ESRGAN's two networks with the sizes that an entry names, its weights left to chance."""
    if entry.arch == "srvgg":
        return SRVGGNetCompact(
            num_in_ch=3,
            num_out_ch=3,
            num_feat=entry.num_feat,
            num_conv=entry.num_conv,
            upscale=entry.scale,
            act_type="prelu",
        )
    return RRDBNet(
        num_in_ch=3,
        num_out_ch=3,
        scale=entry.scale,
        num_feat=entry.num_feat,
        num_block=entry.num_block,
        num_grow_ch=entry.num_grow_ch,
    )
