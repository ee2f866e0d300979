"""Stable Diffusion 1."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from inference.families import unet
from inference.families.record import UNET, Control, Family
from inference.families.releases import WHOLE, Release, Shapes, is_unet, reads_words_of
from inference.families.samplers import DIFFUSION
from inference.families.training import Training
from inference.families.words import Weighing, Words, one_after_another


def _fits_lora(shapes: Shapes, config: Mapping[str, Any]) -> bool:
    return reads_words_of(shapes, config["cross_attention_dim"])


TRAINING = Training(
    learns="noise",
    predict=unet.predict,
    layers=unet.LINEAR,
    textures=unet.CONVOLUTIONS,
    encoders=("text_encoder",),
    base="sd_v1",
    architecture="stable-diffusion-v1",
)

FAMILY = Family(
    name="sd1",
    pipeline="StableDiffusionPipeline",
    settings={"requires_safety_checker": False},
    guidance_rescale=True,
    control=Control(pipeline="StableDiffusionControlNetPipeline", alike={"global_pool_conditions": False}),
    inpaint="StableDiffusionInpaintPipeline",
    denoiser=UNET,
    words=Words(
        embeds=("prompt_embeds", "negative_prompt_embeds"),
        apart=True,
        weighing=Weighing(encoders=(("tokenizer", "text_encoder"),), states="LAST_HIDDEN_STATES_NORMALIZED", layer=1),
        between=partial(one_after_another, {"prompt_embeds": "prompt_embeds"}),
    ),
    samplers=DIFFUSION,
    size_multiple=8,
    releases=(
        Release(
            title="Stable Diffusion 1",
            config="sd1",
            told=partial(is_unet, conditioned=False, projections=4),
            parts={
                "unet": (WHOLE, ""),
                "vae": ("first_stage_model.", "vae."),
                "text_encoder": ("cond_stage_model.transformer.",),
            },
            defaults={
                "width": 512,
                "height": 512,
                "min_size": 256,
                "max_size": 1024,
                "max_pixels": 786432,
                "steps": 25,
                "guidance": 7,
                "sampler": "DPM++ 2M Karras",
                "batch": 4,
                "decoder": "taesd",
            },
        ),
    ),
    training=TRAINING,
    fits_lora=_fits_lora,
)
