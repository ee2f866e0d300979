"""A ControlNet beside a picture model: what it sees of a picture, and the pipeline of its family that follows it."""

from __future__ import annotations

from typing import Any

from PIL import Image

from inference.catalog.entries import ControlEntry
from inference.families.record import load_class
from inference.models.handles import PictureAnnotator, PictureControl, PictureModel
from inference.networks.annotator import BUILT_IN


def seen(picture: Image.Image, entry: ControlEntry, annotator: PictureAnnotator | None) -> Image.Image:
    """What a ControlNet follows of a picture; `annotator` is the one that it names, None where that is built in."""
    return BUILT_IN[entry.annotator](picture) if annotator is None else annotator.network.seen(picture)


def pipeline(model: PictureModel, control: PictureControl | None) -> Any:
    """The model's pipeline, or one of the same parts that also follows pictures by the ControlNet."""
    if control is None:
        return model.pipeline
    assert model.family.control is not None, "the catalogue was checked"
    kind = load_class(model.family.control.pipeline)
    components = model.pipeline.components
    following: Any = kind(**components, controlnet=control.network, **model.family.settings)
    following.set_progress_bar_config(disable=True)
    return following
