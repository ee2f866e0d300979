"""Stable Diffusion XL, and its refiner."""

from __future__ import annotations

from functools import partial

from inference.families.latents import Latents
from inference.families.record import UNET, Control, Family
from inference.families.samplers import DIFFUSION
from inference.families.unet import reads_words_of
from inference.families.words import POOLED, Weighing, Words, one_after_another

FAMILY = Family(
    name="sdxl",
    pipeline="StableDiffusionXLPipeline",
    settings={"add_watermarker": False},
    control=Control(pipeline="StableDiffusionXLControlNetPipeline"),
    refiner="StableDiffusionXLImg2ImgPipeline",
    denoiser=UNET,
    words=Words(
        embeds=POOLED,
        weighing=Weighing(
            # The refiner has the second one alone.
            encoders=(("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2")),
            states="PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED",
            layer=2,
        ),
        between=partial(
            one_after_another, {"prompt_embeds": "prompt_embeds", "pooled_prompt_embeds": "add_text_embeds"}
        ),
    ),
    latents=Latents(upcast=True),
    samplers=DIFFUSION,
    size_multiple=8,
    lora_marks=partial(reads_words_of, 2048),
)
