"""Stable Diffusion 3: a transformer, on rectified flow."""

from __future__ import annotations

from functools import partial

from inference.families.record import Denoiser, Family
from inference.families.samplers import FLOW, shifted
from inference.families.words import POOLED, Words, encode_both_sides, one_after_another

FAMILY = Family(
    name="sd3",
    pipeline="StableDiffusion3Pipeline",
    denoiser=Denoiser(component="transformer", compiles=False),
    words=Words(
        embeds=POOLED,
        # Its signature asks for the prompts of the second and third encoder; None means the same words.
        encode=partial(encode_both_sides, prompt_2=None, prompt_3=None),
        # CLIP's states are mixed with T5's, which cannot be weighed as those are.
        weighing=None,
        between=partial(
            one_after_another, {"prompt_embeds": "prompt_embeds", "pooled_prompt_embeds": "pooled_prompt_embeds"}
        ),
    ),
    samplers=FLOW,
    spacing=shifted,
    size_multiple=16,
    dtype="bfloat16",
)
