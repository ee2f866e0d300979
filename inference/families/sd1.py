"""Stable Diffusion 1."""

from __future__ import annotations

from functools import partial

from inference.families.record import UNET, Control, Family
from inference.families.samplers import DIFFUSION
from inference.families.unet import reads_words_of
from inference.families.words import Weighing, Words, one_after_another

FAMILY = Family(
    name="sd1",
    pipeline="StableDiffusionPipeline",
    settings={"requires_safety_checker": False},
    control=Control(pipeline="StableDiffusionControlNetPipeline"),
    denoiser=UNET,
    words=Words(
        embeds=("prompt_embeds", "negative_prompt_embeds"),
        weighing=Weighing(encoders=(("tokenizer", "text_encoder"),), states="LAST_HIDDEN_STATES_NORMALIZED", layer=1),
        between=partial(one_after_another, {"prompt_embeds": "prompt_embeds"}),
    ),
    samplers=DIFFUSION,
    size_multiple=8,
    lora_marks=partial(reads_words_of, 768),
)
