"""Inception, over which FID and Inception Score are defined: the network of 2015, where its weights are here.

They are the file that pytorch-fid, torch-fidelity and torchmetrics fetch too. Nothing here fetches it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from inference.errors import WeightsError
from inference.silence import silenced

FILE = "pt_inception-2015-12-05-6726825d.pth"


class Inception:
    """The loaded network: what it sees in a picture, and which kinds of things."""

    def __init__(self, file: Path, where: torch.device) -> None:
        """Load it on a device. `file` lies where torch.hub keeps what it fetched. Raises WeightsError."""
        # Imported here: basicsr takes seconds, and comes through the upscaler's shim.
        import inference.networks.upscaler  # noqa: F401

        with silenced():
            from basicsr.archs.inception import InceptionV3

            # Read first without what a pickle could run: the library does not look.
            weights = read(file)
            try:
                self._network: Any = InceptionV3([3]).eval().to(where)
                self._kinds = torch.nn.Linear(2048, 1008, bias=False)
                self._kinds.load_state_dict({"weight": weights["fc.weight"]})
            except (RuntimeError, KeyError) as error:
                raise WeightsError(f"{file} is not Inception's: {' '.join(str(error).split())[:120]}") from error
        self._where = where

    @torch.no_grad()
    def looks(self, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        """The 2048 features of a picture, and the shares of 1008 kinds of things in it.

        Without the last layer's bias, as TensorFlow's own Inception Score has it (Salimans et al., Improved Techniques
        for Training GANs, 2016).
        """
        (features,) = self._network(pixels(picture).to(self._where))
        features = features.flatten().float().cpu()
        return features, self._kinds(features).softmax(dim=0)


def pixels(picture: Image.Image) -> torch.Tensor:
    """A picture as numbers from 0 to 1, (1, 3, height, width)."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


def read(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file of weights of torch's own. Raises WeightsError where it is none."""
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{file} cannot be read as weights: {' '.join(str(error).split())[:120]}") from error
    if not isinstance(weights, dict) or not all(isinstance(each, torch.Tensor) for each in weights.values()):
        raise WeightsError(f"{file} holds no weights")
    return weights


def fetched(name: str) -> Path | None:
    """A file that torch.hub, or somebody by hand, put where torch.hub keeps weights ($TORCH_HOME); None without one."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / name
    return file if file.is_file() else None
