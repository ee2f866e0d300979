"""From a member's picture to what a ControlNet follows: edges, depth, lines, a pose, or the picture itself where it is
a map already.

Depth is read by Depth Anything, the rest by detectors of controlnet-aux, the library of the extra `annotators`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from inference.catalog.fields import DETECTOR_FILES, AnnotatorKind
from inference.silence import silenced

CANNY_LOW, CANNY_HIGH = 100, 200
"""Thresholds of the gradient, as the ControlNets on canny edges were trained with (Zhang et al., 2023)."""

LEAST_SIDE = 64
"""In pixels: the detectors round sides to multiples of it."""

DETECTORS: Mapping[AnnotatorKind, tuple[str, str]] = {
    "lineart": ("LineartDetector", "model"),
    "softedge": ("HEDdetector", "netNetwork"),
    "normal": ("NormalBaeDetector", "model"),
    "mlsd": ("MLSDdetector", "model"),
}
"""Those of controlnet-aux that are one network: the class, and what it calls the network."""

Draw = Callable[[Image.Image], Image.Image]
"""From an RGB picture to a map, which may have another size."""


def canny(picture: Image.Image) -> Image.Image:
    """White edges on black (Canny, 1986)."""
    return Image.fromarray(cv2.Canny(np.array(picture.convert("RGB")), CANNY_LOW, CANNY_HIGH)).convert("RGB")


BUILT_IN: Mapping[str, Draw] = {
    "canny": canny,
    "none": lambda picture: picture.convert("RGB"),
}


class Annotator:
    """One loaded network that finds in a picture what a ControlNet follows."""

    def __init__(self, model: Any, draw: Draw) -> None:
        self.model = model
        self._draw = draw

    @torch.no_grad()
    def seen(self, picture: Image.Image) -> Image.Image:
        """What it finds, as an RGB picture of the same size."""
        found = self._draw(picture.convert("RGB")).convert("RGB")
        return found if found.size == picture.size else found.resize(picture.size, Image.Resampling.BILINEAR)


def depth(model: Any, processor: Any) -> Annotator:
    """Depth Anything (Yang et al., 2024): what is nearer is brighter, as MiDaS drew it for the ControlNets' training.

    Raises ValueError for a model that measures metres, where what is nearer would be darker.
    """
    if model.config.depth_estimation_type != "relative":
        raise ValueError(f"it estimates {model.config.depth_estimation_type} depth, not relative")

    def draw(picture: Image.Image) -> Image.Image:
        given = processor(images=picture, return_tensors="pt").to(model.device)
        sizes = [(picture.height, picture.width)]
        [estimated] = processor.post_process_depth_estimation(model(**given), target_sizes=sizes)
        near: torch.Tensor = estimated["predicted_depth"]
        # Where all is equally near, all is black.
        near = (near - near.min()) / (near.max() - near.min()).clamp(min=torch.finfo(near.dtype).tiny)
        return Image.fromarray((near * 255).round().byte().cpu().numpy())

    return Annotator(model, draw)


def detector(folder: Path, kind: AnnotatorKind) -> Annotator:
    """A detector of controlnet-aux on the CPU, with the DETECTOR_FILES of this folder, which are read as tensors alone.

    Raises OSError, ValueError, KeyError or RuntimeError where they are not what they should be, ValueError also where
    a part of the library is missing.
    """
    try:
        # The library warns of all that it could do besides, and tells on stdout what it builds.
        with silenced(), redirect_stdout(None):
            network, detect = _detector(folder, kind)
    except (ImportError, UnpicklingError, EOFError) as error:
        raise ValueError(str(error)) from error

    def draw(picture: Image.Image) -> Image.Image:
        # At the picture's own size: otherwise thin lines would be drawn thick, or lost.
        side = max(LEAST_SIDE, min(picture.size))
        found: Image.Image = detect(picture, detect_resolution=side, image_resolution=side)
        return found

    return Annotator(network, draw)


def _detector(folder: Path, kind: AnnotatorKind) -> tuple[Any, Any]:
    """The network and what works with it."""
    # Imported with the first of them: it takes seconds.
    import controlnet_aux
    from controlnet_aux.open_pose.body import Body

    if kind == "openpose":
        # Bodies alone: hands and faces would need 300 MB more.
        body = Body(folder / DETECTOR_FILES["openpose"][0])
        return body.model, controlnet_aux.OpenposeDetector(body)
    made, network = DETECTORS[kind]
    detector = getattr(controlnet_aux, made).from_pretrained(folder)
    return getattr(detector, network), detector
