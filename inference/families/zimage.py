"""Z-Image, Turbo and Base: a transformer on rectified flow that reads words and picture as one sequence.

A language model reads the words, in its own form of a conversation. (Z-Image Team, Z-Image, 2025.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inference.families.latents import Latents
from inference.families.record import Control, Denoiser, Family, as_control_image
from inference.families.releases import WHOLE, Release, Shapes
from inference.families.samplers import FLOW, shifted
from inference.families.training import ATTENTION, Training
from inference.families.words import Words, in_a_list

if TYPE_CHECKING:
    import torch


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


TURBO = {"steps": 8, "max_steps": 20, "guidance": 1, "max_guidance": 1, "negative": False}
"""What its distilled one is painted with: no tensor tells it from the other."""


def _told(shapes: Shapes) -> bool:
    # By its makers' names, which Lumina 2 shares but for the layer of modulation. Omni looks at pictures besides.
    return (
        "x_embedder.weight" in shapes
        and "cap_embedder.1.weight" in shapes
        and "layers.0.adaLN_modulation.0.weight" in shapes
        and "siglip_embedder.1.weight" not in shapes
    )


def _predict(pipeline: Any, noisy: torch.Tensor, times: torch.Tensor, words: Mapping[str, Any]) -> torch.Tensor:
    # It counts time the other way round, and says where the picture lies rather than the noise.
    made = pipeline.transformer(
        [*noisy.unsqueeze(2).unbind()], (1000 - times) / 1000, words["prompt_embeds"], return_dict=False
    )[0]
    return -_in_one_batch(made)


def _in_one_batch(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    # Imported where it is used: who only reads the catalogue does without.
    import torch

    return torch.stack([*pictures]).squeeze(2)


FAMILY = Family(
    name="zimage",
    pipeline="ZImagePipeline",
    # Its makers count guidance from 0, by the difference that is added: their 4 is 5 elsewhere.
    guidance_offset=-1.0,
    control=Control(
        pipeline="ZImageControlNetPipeline",
        network="ZImageControlNetModel",
        told=as_control_image,
        together=None,
        borrows=True,
    ),
    denoiser=Denoiser(component="transformer", attention_backends=True, masked_attention=True),
    words=Words(embeds=("prompt_embeds", "negative_prompt_embeds"), encode=_encode, together=in_a_list, apart=True),
    latents=Latents(exact=True),
    samplers=FLOW,
    spacing=_spacing,
    size_multiple=16,
    dtype="bfloat16",
    training=Training(
        learns="flow",
        predict=_predict,
        layers=(*ATTENTION, "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
        base="zimage",
        architecture="z-image",
    ),
    releases=(
        Release(
            title="Z-Image",
            config=None,
            told=_told,
            # Nothing in diffusers reads its language model from such a file: that comes from the base in any case.
            parts={"transformer": (WHOLE, ""), "vae": ("first_stage_model.", "vae.")},
            defaults={
                "width": 1024,
                "height": 1024,
                "size_multiple": 16,
                "min_size": 512,
                "max_size": 2048,
                "max_pixels": 2359296,
                "steps": 40,
                "guidance": 5,
                "max_guidance": 15,
                "sampler": "FlowMatch Euler",
                "decoder": "taef1",
            },
            by_name={"turbo": TURBO},
            remarks=(
                "Made of Turbo, which is painted in 8 steps, it needs steps = 8, max_steps = 20, guidance = 1,"
                " max_guidance = 1 and negative = false.",
            ),
        ),
    ),
)
