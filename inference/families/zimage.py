"""Z-Image, Turbo and Base: a transformer on rectified flow that reads words and picture as one sequence.

A language model reads the words, in its own form of a conversation. (Z-Image Team, Z-Image, 2025.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inference.families.latents import Latents
from inference.families.record import Control, Denoiser, Family, as_control_image
from inference.families.samplers import FLOW, shifted
from inference.families.words import Words, in_a_list


def _encode(pipeline: Any, prompt: str, negative: str, guided: bool) -> Sequence[Any]:
    # It has a list for each side, of one tensor for each prompt, as long as its words; an empty one for no side.
    sides = pipeline.encode_prompt(
        prompt=prompt,
        negative_prompt=negative,
        do_classifier_free_guidance=guided,
        device=pipeline._execution_device,
    )
    return [side[0].unsqueeze(0) if side else None for side in sides]


def _spacing(config: Mapping[str, Any], steps: int, height: int, width: int) -> dict[str, Any]:
    # Imported where it is used: diffusers imports torch.
    from diffusers.pipelines.z_image.pipeline_z_image import get_default_z_image_sigmas

    return {**shifted(config, steps, height, width), "sigmas": get_default_z_image_sigmas(steps)}


FAMILY = Family(
    name="zimage",
    pipeline="ZImagePipeline",
    # Its makers count guidance from 0, by the difference that is added: their 4 is 5 elsewhere.
    guidance_offset=-1.0,
    control=Control(
        pipeline="ZImageControlNetPipeline", network="ZImageControlNetModel", told=as_control_image, borrows=True
    ),
    denoiser=Denoiser(component="transformer", attention_backends=True, masked_attention=True),
    words=Words(embeds=("prompt_embeds", "negative_prompt_embeds"), encode=_encode, together=in_a_list),
    latents=Latents(exact=True),
    samplers=FLOW,
    spacing=_spacing,
    size_multiple=16,
    dtype="bfloat16",
)
