"""Chroma: FLUX.1 schnell made smaller and trained further, which reads T5's words alone and is guided by two sides.

(Lodestone Rock, Chroma, 2025.)
"""

from __future__ import annotations

from dataclasses import replace

from inference.families import flux
from inference.families.releases import WHOLE, Release, Shapes
from inference.families.words import Words

DEFAULTS = {
    **{field: value for field, value in flux.DEFAULTS.items() if field != "negative"},
    "steps": 40,
    "guidance": 3,
    "max_guidance": 15,
}


def _told(shapes: Shapes) -> bool:
    # One network says to all blocks how they are modulated. Of those that paint pixels no latents are packed.
    return (
        "distilled_guidance_layer.in_proj.weight" in shapes
        and "double_blocks.0.img_attn.qkv.weight" in shapes
        and shapes.get("img_in.weight", ())[1:] == (flux.PACKED_CHANNELS,)
    )


FAMILY = replace(
    flux.FAMILY,
    name="chroma",
    pipeline="ChromaPipeline",
    control=None,
    training=None,
    releases=(
        Release(
            title="Chroma",
            config=None,
            told=_told,
            parts={
                "transformer": (WHOLE, ""),
                "vae": ("first_stage_model.", "vae."),
                "text_encoder": ("text_encoders.t5xxl.transformer.",),
            },
            defaults=DEFAULTS,
        ),
    ),
    denoiser=replace(flux.FAMILY.denoiser, masked_attention=True),
    words=Words(
        embeds=(
            "prompt_embeds",
            None,
            "prompt_attention_mask",
            "negative_prompt_embeds",
            None,
            "negative_prompt_attention_mask",
        ),
    ),
)
