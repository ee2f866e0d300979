"""Stable Diffusion 3: a transformer, on rectified flow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from inference.families.record import Control, Denoiser, Family, as_control_image
from inference.families.releases import WHOLE, Release, Shapes
from inference.families.samplers import FLOW, shifted
from inference.families.training import ATTENTION, Training
from inference.families.words import POOLED, Words, encode_both_sides, one_after_another

if TYPE_CHECKING:
    import torch

PARTS = {
    "transformer": (WHOLE, ""),
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("text_encoders.clip_l.transformer.",),
    "text_encoder_2": ("text_encoders.clip_g.transformer.",),
    "text_encoder_3": ("text_encoders.t5xxl.transformer.",),
}
T5 = frozenset({"text_encoder_3", "tokenizer_3"})
"""It reads words with two encoders as well."""
DEFAULTS = {
    "width": 1024,
    "height": 1024,
    "size_multiple": 16,
    "min_size": 512,
    "max_size": 1440,
    "max_pixels": 2073600,
    "steps": 28,
    "guidance": 5,
    "max_guidance": 15,
    "sampler": "FlowMatch Euler",
    "decoder": "taesd3",
}


def _told(shapes: Shapes, normed: bool, twice: bool) -> bool:
    """`normed` keys and queries came with 3.5, whose smaller model looks at the picture `twice` in some blocks."""
    block = "joint_blocks.0.x_block."
    return (
        f"{block}attn.qkv.weight" in shapes
        and (f"{block}attn.ln_q.weight" in shapes) == normed
        and (f"{block}attn2.qkv.weight" in shapes) == twice
    )


def _fits_lora(shapes: Shapes, config: Mapping[str, Any]) -> bool:
    names = "\n".join(shapes)
    return "joint_blocks" in names or ("transformer_blocks" in names and "single_" not in names and "add_k" in names)


def _predict(pipeline: Any, noisy: torch.Tensor, times: torch.Tensor, words: Mapping[str, Any]) -> torch.Tensor:
    predicted: torch.Tensor = pipeline.transformer(
        hidden_states=noisy,
        timestep=times,
        encoder_hidden_states=words["prompt_embeds"],
        pooled_projections=words["pooled_prompt_embeds"],
        return_dict=False,
    )[0]
    return predicted


FAMILY = Family(
    name="sd3",
    pipeline="StableDiffusion3Pipeline",
    control=Control(
        pipeline="StableDiffusion3ControlNetPipeline",
        network="SD3ControlNetModel",
        told=as_control_image,
        alike={"force_zeros_for_pooled_projection": True, "joint_attention_dim": 4096},
        reads_besides="extra_conditioning_channels",
    ),
    denoiser=Denoiser(component="transformer", compiles=False),
    words=Words(
        embeds=POOLED,
        apart=True,
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
    releases=(
        Release(
            title="Stable Diffusion 3 Medium",
            config="sd3-medium",
            told=partial(_told, normed=False, twice=False),
            parts=PARTS,
            optional=T5,
            defaults=DEFAULTS,
        ),
        Release(
            title="Stable Diffusion 3.5 Medium",
            config="sd35-medium",
            told=partial(_told, normed=True, twice=True),
            parts=PARTS,
            optional=T5,
            defaults={**DEFAULTS, "steps": 40, "guidance": 4.5},
        ),
        Release(
            title="Stable Diffusion 3.5 Large",
            config="sd35-large",
            told=partial(_told, normed=True, twice=False),
            parts=PARTS,
            optional=T5,
            defaults={**DEFAULTS, "max_size": 1536, "max_pixels": 1572864, "guidance": 3.5},
            by_name={"turbo": {"steps": 4, "max_steps": 12, "guidance": 0, "max_guidance": 0, "negative": False}},
        ),
    ),
    training=Training(
        learns="flow",
        predict=_predict,
        layers=(*ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        steps=1500,
        base="sd3m",
        architecture="stable-diffusion-3",
    ),
    fits_lora=_fits_lora,
)
