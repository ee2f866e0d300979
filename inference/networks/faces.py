"""Where faces are in a picture, how one is cut out upright, and how it is put back: OpenCV and geometry, no torch.

YuNet finds them (Wu et al., 2023), whose weights lie beside this file. Pixels are arrays (height, width, 3) of uint8.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
"""Eyes, nose, corners of the mouth, each time the left one in the picture first: (5, 2), in pixels."""

DETECTOR = "yunet_2023mar"
FACE = 512
"""The side of a face that was cut out."""

_WEIGHTS = Path(__file__).parent / "yunet" / "face_detection_yunet_2023mar.onnx"
_SURE = 0.75
"""YuNet's score from which on something is a face."""
_SIDES = (320, 1280)
"""The longer side of what it looks at: it finds faces of 10 to 300 pixels, so close ones in the small picture."""
_MOST = 16
_CLOSEST_EYES = 5.0
"""Pixels between the eyes below which nothing is there to restore; facexlib's default."""
_TEMPLATE = np.array(
    [
        *([192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935]),
        *([201.26117, 371.41043], [313.08905, 371.15118]),
    ]
)
"""Where they lie in FFHQ's faces at 512 pixels, which restorers are trained on; facexlib's numbers."""
_AROUND = (135, 133, 132)
"""The grey beyond a picture's edges, facexlib's too."""
_BORDER = 48
"""Pixels of a face's 512 over which it fades into the picture."""


def find(picture: Pixels) -> list[Points]:
    """The faces in this picture, the largest first, at most 16; the same for the same picture."""
    height, width = picture.shape[:2]
    found: list[tuple[float, Points]] = []
    for side in _SIDES:
        scale = min(1.0, side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small: Any = picture if scale == 1.0 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        for row in _detected(small):
            points = row[4:14].reshape(5, 2).astype(np.float64) / scale
            eyes = float(np.hypot(*(points[1] - points[0])))
            if eyes >= _CLOSEST_EYES and not any(_is_same(points, other) for _, other in found):
                found.append((eyes, points))
        if scale == 1.0:
            break
    found.sort(key=lambda one: -one[0])
    return [points for _, points in found[:_MOST]]


def cut_out(picture: Pixels, face: Points) -> tuple[Pixels, Points]:
    """A face upright in the middle of 512 x 512 pixels, and how its points come to lie there: a 2 x 3 matrix."""
    matrix = _similarity(face, _TEMPLATE)
    crop: Any = cv2.warpAffine(picture, matrix, (FACE, FACE), borderMode=cv2.BORDER_CONSTANT, borderValue=_AROUND)
    return crop, matrix


def put_back(picture: Pixels, face: Pixels, matrix: Points, factor: int) -> None:
    """Let a face be where it was cut out, in a picture that is `factor` times as large as it was then.

    Its border fades; what lies beyond it keeps every bit.
    """
    inverse: Any = cv2.invertAffineTransform(matrix) * factor
    # Pixels are squares whose middle is meant.
    inverse[:, 2] += 0.5 * factor - 0.5
    height, width = picture.shape[:2]
    corners = np.array([[0, 0, 1], [FACE, 0, 1], [0, FACE, 1], [FACE, FACE, 1]], dtype=np.float64) @ inverse.T
    left, top = (max(0, int(np.floor(corners[:, axis].min()))) for axis in (0, 1))
    right = min(width, int(np.ceil(corners[:, 0].max())) + 1)
    bottom = min(height, int(np.ceil(corners[:, 1].max())) + 1)
    if left >= right or top >= bottom:
        return
    inverse[:, 2] -= (left, top)
    size = right - left, bottom - top
    mask: Any = cv2.warpAffine(_fading(), inverse, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if (scale := float(np.hypot(inverse[0, 0], inverse[1, 0]))) < 1:
        # All of its pixels count.
        side = max(2, round(FACE * scale))
        face, ratio = np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)), FACE / side
        inverse = inverse @ np.array([[ratio, 0, 0.5 * ratio - 0.5], [0, ratio, 0.5 * ratio - 0.5], [0, 0, 1]])
    warped: Any = cv2.warpAffine(face, inverse, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    part = picture[top:bottom, left:right]
    mixed = part + mask[:, :, None] * (warped.astype(np.float32) - part)
    part[:] = np.where(mask[:, :, None] > 0, mixed.round().clip(0, 255), part).astype(np.uint8)


def _detected(picture: Pixels) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    with _only_errors():
        detector = cv2.FaceDetectorYN.create(str(_WEIGHTS), "", (width, height), _SURE)
        _, rows = detector.detect(np.ascontiguousarray(picture[:, :, ::-1]))
    return np.empty((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)


@contextmanager
def _only_errors() -> Iterator[None]:
    """OpenCV 5 warns of its own default for a network."""
    logging: Any = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _is_same(face: Points, other: Points) -> bool:
    between = float(np.hypot(*(face.mean(axis=0) - other.mean(axis=0))))
    return between < max(float(np.hypot(*(one[1] - one[0]))) for one in (face, other))


def _similarity(points: Points, onto: Points) -> Points:
    """The turn, scale and shift that bring these points nearest to the others, by least squares."""
    rows, there = [], []
    for (x, y), (u, v) in zip(points, onto, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        there += [u, v]
    a, b, right, down = np.linalg.lstsq(np.array(rows), np.array(there), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


def _fading() -> NDArray[np.float32]:
    """One inside of a face's square, nothing at its edges."""
    away = np.minimum(np.arange(FACE), np.arange(FACE)[::-1]).astype(np.float32)
    ramp = np.clip(away / _BORDER, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.asarray(ramp[:, None] * ramp[None, :], np.float32)
