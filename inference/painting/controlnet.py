"""A ControlNet beside a picture model: what it sees of a picture, and the pipeline of its family that follows it."""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusionControlNetPipeline, StableDiffusionXLControlNetPipeline
from PIL import Image

from inference.catalog.entries import ControlEntry, Family
from inference.models.handles import PictureAnnotator, PictureControl, PictureModel
from inference.networks.annotator import BUILT_IN

PIPELINES: dict[Family, tuple[type[Any], dict[str, Any]]] = {
    "sd1": (StableDiffusionControlNetPipeline, {"requires_safety_checker": False}),
    "sd2": (StableDiffusionControlNetPipeline, {"requires_safety_checker": False}),
    "sdxl": (StableDiffusionXLControlNetPipeline, {"add_watermarker": False}),
}


def seen(picture: Image.Image, entry: ControlEntry, annotator: PictureAnnotator | None) -> Image.Image:
    """What a ControlNet follows of a picture; `annotator` is the one that it names, None where that is built in."""
    return BUILT_IN[entry.annotator](picture) if annotator is None else annotator.network.seen(picture)


def pipeline(model: PictureModel, control: PictureControl | None) -> Any:
    """The model's pipeline, or one of the same parts that also follows pictures by the ControlNet."""
    if control is None:
        return model.pipeline
    kind, settings = PIPELINES[model.entry.family]
    # What the model was published with, such as what SDXL reads for an empty prompt.
    zeros = "force_zeros_for_empty_prompt"
    if zeros in model.pipeline.config:
        settings = settings | {zeros: model.pipeline.config[zeros]}
    following: Any = kind(**model.pipeline.components, controlnet=control.network, **settings)
    following.set_progress_bar_config(disable=True)
    return following
