"""FLUX.1, dev and schnell: a transformer on rectified flow, which is told its guidance as a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from inference.families.latents import Latents
from inference.families.record import Denoiser, Family, load_class
from inference.families.releases import WHOLE, Release, Shapes
from inference.families.samplers import FLOW, shifted
from inference.families.words import Words

if TYPE_CHECKING:
    import torch


def _encode(pipeline: Any, prompt: str, negative: str, guided: bool) -> Sequence[Any]:
    # As in Black Forest Labs' own code: the one that is told no guidance, schnell, reads half as much.
    length = 512 if pipeline.transformer.config.guidance_embeds else 256
    encoded: Sequence[Any] = pipeline.encode_prompt(
        prompt=prompt,
        max_sequence_length=length,
        num_images_per_prompt=1,
        device=pipeline._execution_device,
    )
    return encoded


def _pack(latents: torch.Tensor) -> torch.Tensor:
    """As rows of patches of 2 by 2: (batch, height / 2 x width / 2, channels x 4)."""
    packed: torch.Tensor = load_class(FAMILY.pipeline)._pack_latents(latents, *latents.shape)
    return packed


def _unpack(latents: torch.Tensor, height: int, width: int) -> torch.Tensor:
    # It asks for the size in pixels; at a factor of 1 that is the size of the latents.
    unpacked: torch.Tensor = load_class(FAMILY.pipeline)._unpack_latents(latents, height, width, vae_scale_factor=1)
    return unpacked


def _spacing(config: Mapping[str, Any], steps: int, height: int, width: int) -> dict[str, Any]:
    # Imported where it is used: who only reads the catalogue does without.
    import numpy as np

    return {**shifted(config, steps, height, width), "sigmas": np.linspace(1.0, 1 / steps, steps)}


def _check_lora(pipeline: Any, tensors: Mapping[str, Any]) -> None:
    """Raise ValueError for wider layers and other norms, for which diffusers changes the model itself."""
    layers = dict(pipeline.transformer.named_modules())
    for name, tensor in tensors.items():
        path, _, half = name.removeprefix("transformer.").rpartition(".lora_")
        if half not in ("A.weight", "B.weight"):
            raise ValueError(f"it has {name} in it, which is no part of a LoRA")
        layer = layers.get(path)
        wide = getattr(layer, "in_features", None) if half.startswith("A") else getattr(layer, "out_features", None)
        if wide != tensor.shape[half.startswith("A")]:
            raise ValueError(f"its weights for {path} do not fit the model")


PARTS = {
    "transformer": (WHOLE, ""),
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("text_encoders.clip_l.transformer.",),
    "text_encoder_2": ("text_encoders.t5xxl.transformer.",),
}
DEFAULTS = {
    "width": 1024,
    "height": 1024,
    "size_multiple": 16,
    "min_size": 512,
    "max_size": 1536,
    "max_pixels": 1572864,
    "steps": 28,
    "guidance": 3.5,
    "max_guidance": 10,
    "negative": False,
    "sampler": "FlowMatch Euler",
    "decoder": "taef1",
}
PACKED_CHANNELS = 64
"""That its denoiser reads: 16 of a patch of 2 by 2. Those of Fill, Canny and Depth read a picture besides."""


def _told(shapes: Shapes, guided: bool) -> bool:
    """`guided` says whether it is told its guidance."""
    return (
        "double_blocks.0.img_attn.qkv.weight" in shapes
        and "vector_in.in_layer.weight" in shapes
        and shapes.get("img_in.weight", ())[1:] == (PACKED_CHANNELS,)
        and ("guidance_in.in_layer.weight" in shapes) == guided
    )


def _fits_lora(shapes: Shapes, config: Mapping[str, Any]) -> bool:
    names = "\n".join(shapes)
    return ("single_transformer_blocks" in names or "double_blocks" in names) and "distilled_guidance" not in names


FAMILY = Family(
    name="flux",
    pipeline="FluxPipeline",
    denoiser=Denoiser(component="transformer", attention_backends=True),
    # T5's states alone go into the steps, and those cannot be weighed. What is third, the pipeline makes again.
    words=Words(embeds=("prompt_embeds", "pooled_prompt_embeds"), encode=_encode, negative=False),
    latents=Latents(pack=_pack, unpack=_unpack),
    samplers=FLOW,
    spacing=_spacing,
    size_multiple=16,
    dtype="bfloat16",
    check_lora=_check_lora,
    releases=(
        Release(
            title="FLUX.1 dev", config="flux-dev", told=partial(_told, guided=True), parts=PARTS, defaults=DEFAULTS
        ),
        Release(
            title="FLUX.1 schnell",
            config="flux-schnell",
            told=partial(_told, guided=False),
            parts=PARTS,
            defaults={**DEFAULTS, "steps": 4, "max_steps": 12, "guidance": 0, "max_guidance": 0},
        ),
    ),
    fits_lora=_fits_lora,
)
