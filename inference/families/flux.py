"""FLUX.1, dev and schnell: a transformer on rectified flow, which is told its guidance as a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from inference.families.latents import Latents
from inference.families.record import Control, Denoiser, Family, as_control_image, load_class
from inference.families.releases import WHOLE, Release, Shapes
from inference.families.samplers import FLOW, shifted
from inference.families.training import ATTENTION, Training
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


def _between(told: Mapping[str, Any]) -> dict[str, Any]:
    # The gist of all words stays that of the first step: the pipeline takes no other.
    return {"prompt_embeds": told["prompt_embeds"]}


def _pack(latents: torch.Tensor) -> torch.Tensor:
    """As rows of patches of 2 by 2: (batch, height / 2 x width / 2, channels x 4)."""
    packed: torch.Tensor = load_class(FAMILY.pipeline)._pack_latents(latents, *latents.shape)
    return packed


def _unpack(latents: torch.Tensor, height: int, width: int) -> torch.Tensor:
    # It asks for the size in pixels; at a factor of 1 that is the size of the latents.
    unpacked: torch.Tensor = load_class(FAMILY.pipeline)._unpack_latents(latents, height, width, vae_scale_factor=1)
    return unpacked


def _originals(transformer: Any) -> Mapping[str, tuple[str, ...]]:
    """As Black Forest Labs' code calls its layers, some of which are several here."""
    names: dict[str, tuple[str, ...]] = {
        "img_in": ("x_embedder",),
        "txt_in": ("context_embedder",),
        "final_layer.linear": ("proj_out",),
    }
    for number in range(len(transformer.transformer_blocks)):
        block, own = f"double_blocks.{number}", f"transformer_blocks.{number}"
        names |= {
            f"{block}.img_attn.qkv": tuple(f"{own}.attn.to_{part}" for part in "qkv"),
            f"{block}.txt_attn.qkv": tuple(f"{own}.attn.add_{part}_proj" for part in "qkv"),
            f"{block}.img_attn.proj": (f"{own}.attn.to_out.0",),
            f"{block}.txt_attn.proj": (f"{own}.attn.to_add_out",),
            f"{block}.img_mod.lin": (f"{own}.norm1.linear",),
            f"{block}.txt_mod.lin": (f"{own}.norm1_context.linear",),
        }
        for side, inner in (("img", "ff"), ("txt", "ff_context")):
            names |= {
                f"{block}.{side}_mlp.0": (f"{own}.{inner}.net.0.proj",),
                f"{block}.{side}_mlp.2": (f"{own}.{inner}.net.2",),
            }
    for number in range(len(transformer.single_transformer_blocks)):
        block, own = f"single_blocks.{number}", f"single_transformer_blocks.{number}"
        names |= {
            f"{block}.linear1": (*(f"{own}.attn.to_{part}" for part in "qkv"), f"{own}.proj_mlp"),
            f"{block}.linear2": (f"{own}.proj_out",),
            f"{block}.modulation.lin": (f"{own}.norm.linear",),
        }
    return names


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


_UNION = Control(
    pipeline="FluxControlNetPipeline",
    network="FluxControlNetModel",
    told=as_control_image,
    kinds="num_mode",
    alike={"conditioning_embedding_channels": None, "guidance_embeds": False},
)

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


TRAINED_GUIDANCE = 1.0
"""What one that is told its guidance is told while it learns: then what it learns is not taken for guidance, as
kohya's scripts have it too."""


def _predict(pipeline: Any, noisy: torch.Tensor, times: torch.Tensor, words: Mapping[str, Any]) -> torch.Tensor:
    batch, _, height, width = noisy.shape
    places = load_class(FAMILY.pipeline)._prepare_latent_image_ids(
        batch, height // 2, width // 2, noisy.device, noisy.dtype
    )
    embeds = words["prompt_embeds"]
    guided = pipeline.transformer.config.guidance_embeds
    predicted = pipeline.transformer(
        hidden_states=_pack(noisy),
        timestep=times / 1000,
        guidance=noisy.new_full((batch,), TRAINED_GUIDANCE) if guided else None,
        pooled_projections=words["pooled_prompt_embeds"],
        encoder_hidden_states=embeds,
        txt_ids=embeds.new_zeros(embeds.shape[1], 3),
        img_ids=places,
        return_dict=False,
    )[0]
    return _unpack(predicted, height, width)


FAMILY = Family(
    name="flux",
    pipeline="FluxPipeline",
    control=replace(_UNION, kinds=None, union=_UNION),
    denoiser=Denoiser(component="transformer", attention_backends=True, originals=_originals),
    # T5's states alone go into the steps, and those cannot be weighed. What is third, the pipeline makes again.
    words=Words(embeds=("prompt_embeds", "pooled_prompt_embeds"), encode=_encode, negative=False, between=_between),
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
    training=Training(
        learns="flow",
        predict=_predict,
        layers=(
            *ATTENTION,
            *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
            *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
        ),
        unsaid=0.0,
        base="flux1",
        architecture="flux-1-dev",
        original_names=True,
    ),
    fits_lora=_fits_lora,
)
