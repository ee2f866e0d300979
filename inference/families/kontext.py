"""FLUX.1 Kontext: Flux that was taught to do to a picture what words say. (Black Forest Labs, FLUX.1 Kontext, 2025.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inference.families import flux
from inference.families.references import References

if TYPE_CHECKING:
    from PIL import Image


def _sized(width: int, height: int) -> dict[str, Any]:
    # It would bring every size to the area that it is told.
    return {"height": height, "width": width, "max_area": width * height}


def _told(pictures: Sequence[Image.Image]) -> dict[str, Any]:
    # Of another size than what is painted, it would move what it is asked to keep.
    return {"image": pictures[0], "_auto_resize": False}


FAMILY = replace(
    flux.FAMILY,
    name="kontext",
    pipeline="FluxKontextPipeline",
    control=None,
    training=None,
    releases=(),
    sized=_sized,
    references=References(most=1, told=_told),
)
