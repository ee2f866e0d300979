"""ControlNets beside a picture model: what they see of a picture, and the pipeline of its family that follows them."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from PIL import Image

from inference.catalog.entries import ControlEntry
from inference.models.handles import Followed, PictureAnnotator, PictureModel
from inference.networks.annotator import BUILT_IN
from inference.painting import settled


def seen(picture: Image.Image, entry: ControlEntry, annotator: PictureAnnotator | None) -> Image.Image:
    """What a ControlNet follows of a picture; `annotator` is the one that it names, None where that is built in."""
    return BUILT_IN[entry.annotator](picture) if annotator is None else annotator.network.seen(picture)


def pipeline(model: PictureModel, followed: Sequence[Followed]) -> Any:
    """The model's pipeline, or one of the same parts that also follows pictures by ControlNets, or in which it encodes
    what it fills."""
    if not followed:
        return settled.pipeline(model, model.family.pipeline) if model.family.fills else model.pipeline
    known = followed[0].control.entry.known_by(model.family)
    networks = [one.control.network for one in followed]
    if known.borrows:
        networks = [_borrowing(network, model) for network in networks]
    if len(networks) == 1:
        return settled.pipeline(model, known.pipeline, controlnet=networks[0])
    assert known.together is not None, "the request was checked"
    return settled.pipeline(model, known.pipeline, controlnet=known.together(networks))


def told(
    model: PictureModel, followed: Sequence[Followed], pictures: Sequence[Sequence[Image.Image]]
) -> dict[str, Any]:
    """What such a pipeline wants to know beside the words: what each picture of a batch follows, by the first of the
    ControlNets and by the next, and how closely."""
    entries, weights = [one.control.entry for one in followed], [one.weight for one in followed]
    return {
        **entries[0].known_by(model.family).told(pictures, [entry.mode for entry in entries]),
        "controlnet_conditioning_scale": weights[0] if len(weights) == 1 else weights,
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
