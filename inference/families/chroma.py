"""Chroma: FLUX.1 schnell made smaller and trained further, which reads T5's words alone and is guided by two sides.

(Lodestone Rock, Chroma, 2025.)
"""

from __future__ import annotations

from dataclasses import replace

from inference.families import flux
from inference.families.words import Words

FAMILY = replace(
    flux.FAMILY,
    name="chroma",
    pipeline="ChromaPipeline",
    control=None,
    releases=(),
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
