"""A ControlNet beside a picture model: what it sees of a picture, and the pipeline of its family that follows it."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from PIL import Image

from inference.catalog.entries import ControlEntry
from inference.models.handles import PictureAnnotator, PictureControl, PictureModel
from inference.networks.annotator import BUILT_IN
from inference.painting import settled


def seen(picture: Image.Image, entry: ControlEntry, annotator: PictureAnnotator | None) -> Image.Image:
    """What a ControlNet follows of a picture; `annotator` is the one that it names, None where that is built in."""
    return BUILT_IN[entry.annotator](picture) if annotator is None else annotator.network.seen(picture)


def pipeline(model: PictureModel, control: PictureControl | None) -> Any:
    """The model's pipeline, or one of the same parts that also follows pictures by the ControlNet, or in which it
    encodes what it fills."""
    if control is None:
        return settled.pipeline(model, model.family.pipeline) if model.family.fills else model.pipeline
    known = control.entry.known_by(model.family)
    network = _borrowing(control.network, model) if known.borrows else control.network
    return settled.pipeline(model, known.pipeline, controlnet=network)


def told(
    model: PictureModel, control: PictureControl, pictures: Sequence[Image.Image], weight: float
) -> dict[str, Any]:
    """What such a pipeline wants to know beside the words: what each picture of a batch follows, and how closely."""
    entry = control.entry
    return {
        **entry.known_by(model.family).told(pictures, entry.mode),
        "controlnet_conditioning_scale": weight,
    }


def _borrowing(network: Any, model: PictureModel) -> Any:
    """A ControlNet that can be lent layers of the model's denoiser: of the same weights, which stays without them
    itself, so that whoever lets go of the model frees it all."""
    lent = copy.copy(network)
    lent._modules, lent._parameters = dict(network._modules), dict(network._parameters)
    lent._forward_pre_hooks = OrderedDict()

    def have_denoiser(*_: Any) -> None:
        # Where it comes to the device for its own work alone, this is its work too. `placement` puts the hook there.
        if (hook := getattr(model.denoiser, "_hf_hook", None)) is not None:
            hook.pre_forward(model.denoiser)

    lent.register_forward_pre_hook(have_denoiser)
    return lent
