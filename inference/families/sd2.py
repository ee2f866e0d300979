"""Stable Diffusion 2: other weights of the same classes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from inference.families import sd1
from inference.families.releases import Release, is_unet

BASE = {"width": 512, "height": 512, "min_size": 256, "prediction": "epsilon"}
"""Of models that were trained at 512 pixels."""

FAMILY = replace(
    sd1.FAMILY,
    name="sd2",
    training=replace(sd1.TRAINING, base="sd_v2", architecture="stable-diffusion-v2-768-v"),
    releases=(
        Release(
            title="Stable Diffusion 2",
            config="sd2",
            told=partial(is_unet, conditioned=False, projections=2),
            parts={**sd1.FAMILY.releases[0].parts, "text_encoder": ("cond_stage_model.model.",)},
            defaults={
                "width": 768,
                "height": 768,
                "min_size": 384,
                "max_size": 1280,
                "max_pixels": 1048576,
                "steps": 25,
                "guidance": 7,
                "sampler": "DPM++ 2M",
                "batch": 2,
                "decoder": "taesd",
            },
            by_name={"512": BASE, "base": BASE},
            remarks=('Trained at 512 pixels, as 2-base was, it needs prediction = "epsilon".',),
        ),
    ),
)
