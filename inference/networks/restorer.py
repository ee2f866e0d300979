"""Restorers of faces: GFPGAN and RestoreFormer, on each face that is found in a picture.

Which file is one says the catalogue's `architectures`, where faces are `faces`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from inference.catalog.entries import RestorerEntry
from inference.device import is_out_of_memory
from inference.errors import NotFinite
from inference.networks import faces, found
from inference.networks.faces import Pixels, Points
from inference.networks.finite import Overflowed, require_finite
from inference.networks.tiles import TileTooLarge


class Restorer:
    """One loaded network that makes faces anew."""

    def __init__(self, entry: RestorerEntry, file: Path, device: torch.device, dtype: torch.dtype) -> None:
        """Load the weights. `dtype` is wanted; what is computed in stands in the attribute of that name.

        Raises WeightsError where the file is another network.
        """
        self._entry = entry
        self._device = device
        self._descriptor: Any = found.load(file, "restorer")
        self.dtype = found.dtype(self._descriptor, entry.dtype, dtype)
        self.network: torch.nn.Module = self._descriptor.model.to(device, self.dtype)
        require_finite(self.network)

    def restore(
        self,
        picture: Image.Image,
        enlarged: Image.Image,
        places: Sequence[Points],
        factor: int,
        before_face: Callable[[], None] = lambda: None,
    ) -> Image.Image:
        """The enlarged picture with the faces that are in these places of the smaller one made anew (`faces.find`).

        They are made from the smaller one, as the networks were trained. What `before_face` raises ends the work,
        unless it is a RuntimeError. Raises TileTooLarge where the memory is full, NotFinite where nothing comes of one.
        """
        small, large = np.asarray(picture.convert("RGB")), np.array(enlarged.convert("RGB"))
        for place in places:
            before_face()
            crop, matrix = faces.cut_out(small, place)
            faces.put_back(large, self._made_anew(crop), matrix, factor)
        made = Image.fromarray(large)
        if enlarged.mode == "RGBA":
            made.putalpha(enlarged.getchannel("A"))
        return made

    def _made_anew(self, face: Pixels) -> Pixels:
        pixels = torch.from_numpy(face).permute(2, 0, 1)[None].to(self._device, torch.float32) / 255
        full = False
        try:
            made = self._run(pixels.to(self.dtype)).float()
        except Overflowed as error:
            raise NotFinite("restorer_makes_nothing", model=self._entry.title) from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            full = True
        if full:
            # Outside the handler, whose traceback would keep the memory.
            raise TileTooLarge
        return np.asarray((made.clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8))

    @torch.inference_mode()
    def _run(self, face: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor
        with found.quiet_chance(face.device):
            if self._descriptor.architecture.id == "GFPGAN":
                # Trained on -1 to 1, which spandrel leaves to its callers for this one network.
                made = self.network(face * 2 - 1, return_rgb=False)[0] / 2 + 0.5
            else:
                made = self._descriptor(face)
        return made
