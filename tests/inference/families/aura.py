"""A family that Easel does not know, in the one file that it takes: AuraFlow, on diffusers' own pipeline.

It has the autoencoder of Stable Diffusion XL, a T5 that reads the words, and a transformer on rectified flow that is
told nothing else of them. (fal, AuraFlow, 2024.)
"""

from __future__ import annotations

from functools import partial

from inference.families.latents import Latents
from inference.families.record import Denoiser, Family
from inference.families.samplers import FLOW
from inference.families.words import Words, one_after_another

FAMILY = Family(
    name="aura",
    pipeline="AuraFlowPipeline",
    denoiser=Denoiser(component="transformer", compiles=False),
    words=Words(
        embeds=(
            "prompt_embeds",
            "prompt_attention_mask",
            "negative_prompt_embeds",
            "negative_prompt_attention_mask",
        ),
        # Both sides are padded to the same length, and their masks are looked at no more.
        between=partial(one_after_another, {"prompt_embeds": "prompt_embeds"}),
        apart=True,
    ),
    latents=Latents(upcast=True),
    samplers=FLOW,
    size_multiple=16,
)
