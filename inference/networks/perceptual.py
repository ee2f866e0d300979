"""LPIPS: how different two pictures look to a network, where that and its weights are here.

(Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, 2018.)
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inference.errors import WeightsError
from inference.networks.inception import pixels, read
from inference.silence import silenced

FILE = "alexnet-owt-7be5be79.pth"
LIBRARY = "lpips"


class Perceptual:
    """AlexNet, and how people weighed what it sees."""

    def __init__(self, file: Path, where: torch.device) -> None:
        """Load it on a device. `file` lies where torch.hub keeps what it fetched. Raises WeightsError."""
        # Read first without what a pickle could run: the library does not look.
        read(file)
        with silenced():
            # Imported here: an optional library.
            import lpips

            try:
                self._network: Any = lpips.LPIPS(net="alex", verbose=False).to(where)
            except RuntimeError as error:
                raise WeightsError(f"{file} is not AlexNet's: {' '.join(str(error).split())[:120]}") from error
        self._where = where

    @torch.no_grad()
    def distance(self, one: Image.Image, other: Image.Image) -> float:
        """From 0, for pictures that look the same, upwards; they are of one size."""
        pair = [pixels(picture).to(self._where) for picture in (one, other)]
        return float(self._network(*pair, normalize=True))


def is_installed() -> bool:
    """Whether the library is here."""
    return find_spec(LIBRARY) is not None
