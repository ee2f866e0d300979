"""Stable Diffusion XL, and its refiner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference.families.latents import Latents
from inference.families.record import UNET, Control, Family
from inference.families.samplers import DIFFUSION
from inference.families.words import POOLED, Weighing, Words


def _of_kinds(pictures: Sequence[Any], mode: int | None) -> dict[str, Any]:
    # One of each kind at once; of each, a picture for each of the batch.
    return {"control_image": [pictures], "control_mode": [mode]}


FAMILY = Family(
    name="sdxl",
    pipeline="StableDiffusionXLPipeline",
    settings={"add_watermarker": False},
    control=Control(
        pipeline="StableDiffusionXLControlNetPipeline",
        union=Control(
            pipeline="StableDiffusionXLControlNetUnionPipeline",
            network="ControlNetUnionModel",
            told=_of_kinds,
            kinds="num_control_type",
        ),
    ),
    refiner="StableDiffusionXLImg2ImgPipeline",
    denoiser=UNET,
    words=Words(
        embeds=POOLED,
        weighing=Weighing(
            # The refiner has the second one alone.
            encoders=(("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2")),
            states="PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED",
        ),
    ),
    latents=Latents(upcast=True),
    samplers=DIFFUSION,
    size_multiple=8,
)
