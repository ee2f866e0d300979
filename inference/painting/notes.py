"""What a member shall know of how a picture was made: what its model or this machine did otherwise than asked."""

from __future__ import annotations

from collections.abc import Sequence

from inference.models.handles import PictureModel
from inference.painting.passes import Pass
from inference.protocol import Imagine, Reason, because


def of_passes(request: Imagine, model: PictureModel, passes: Sequence[Pass]) -> tuple[Reason, ...]:
    """Of a picture that these passes have just finished, the first one first."""
    notes = []
    if model.assembly.guidance_rescale and not passes[0].rescales:
        notes.append(because("rescale_left_out", model=model.entry.title))
    if model.policy.speed == "draft":
        notes.append(_drafted(request, model, sum(len(taken.left_out) for taken in passes)))
    if model.thrifty and model.policy.vae_tiling:
        notes.append(because("painted_in_tiles"))
    if model.thrifty and model.policy.offload != "none":
        notes.append(because("painted_by_parts" if model.policy.offload == "model" else "painted_by_layers"))
    return tuple(notes)


def _drafted(request: Imagine, model: PictureModel, left_out: int) -> Reason:
    """What is said of a draft some of whose steps, or none, were left out."""
    if left_out:
        return because("draft", skipped=left_out, steps=request.steps_together // request.count)
    if model.family.samplers[request.sampler].draws:
        return because("draft_sampler", sampler=request.sampler)
    return because("draft_steps")
