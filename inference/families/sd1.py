"""Stable Diffusion 1."""

from __future__ import annotations

from inference.families.record import UNET, Control, Family
from inference.families.samplers import DIFFUSION
from inference.families.words import Weighing, Words

FAMILY = Family(
    name="sd1",
    pipeline="StableDiffusionPipeline",
    settings={"requires_safety_checker": False},
    control=Control(pipeline="StableDiffusionControlNetPipeline"),
    denoiser=UNET,
    words=Words(
        embeds=("prompt_embeds", "negative_prompt_embeds"),
        weighing=Weighing(encoders=(("tokenizer", "text_encoder"),), states="LAST_HIDDEN_STATES_NORMALIZED"),
    ),
    samplers=DIFFUSION,
    size_multiple=8,
)
