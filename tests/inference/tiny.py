"""Tiny picture models with random weights, in the exact folder layouts of the published ones, built without a network.

Every class is the real one at a small configuration, so what loads and paints these loads and paints the large ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

WIDTH = 32
"""Channels of everything that can choose."""

CATALOG = """
default = "sd15"

[models.sd15]
title = "Tiny 1.5"
family = "sd1"
path = "sd15"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "DPM++ 2M"

[models.sd21]
title = "Tiny 2.1"
family = "sd2"
path = "sd21"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "DDIM"

[models.sdxl]
title = "Tiny XL"
family = "sdxl"
path = "sdxl"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "Euler"

[models.sdxl-turbo]
title = "Tiny XL Turbo"
family = "sdxl"
path = "sdxl-turbo"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 1
max_steps = 4
guidance = 0
max_guidance = 1
negative = false
sampler = "Euler a"

[models.sd35]
title = "Tiny 3.5"
family = "sd3"
path = "sd35"
width = 32
height = 32
size_multiple = 16
min_size = 16
max_size = 64
max_pixels = 4096
steps = 2
guidance = 4
sampler = "FlowMatch Euler"

[models.absent]
title = "Never fetched"
family = "sd1"
path = "absent"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "DDIM"
"""


def build(folder: Path) -> Path:
    """Write every tiny model and a models.toml that names them into this folder; returns the models.toml."""
    torch.manual_seed(0)
    for name, make in MAKERS.items():
        pipeline = make()
        pipeline.save_pretrained(folder / name)
        index = json.loads((folder / name / "model_index.json").read_text())
        assert index["_class_name"] == type(pipeline).__name__
    catalog = folder / "models.toml"
    catalog.write_text(CATALOG)
    return catalog


def _clip_tokenizer() -> CLIPTokenizer:
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], model_max_length=16)


def _t5_tokenizer() -> T5TokenizerFast:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    pieces = ["<pad>", "</s>", "<unk>", "▁", *letters]
    return T5TokenizerFast(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0, model_max_length=512)


def _text_config(tokenizer: CLIPTokenizer, **changes: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
    )


def _vae(channels: int = 4, **changes: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=32,
        **changes,
    )


def _unet(**changes: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **{
            "sample_size": 4,
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": WIDTH,
            "attention_head_dim": 2,
            "norm_num_groups": 4,
            **changes,
        }
    )


def _sd15() -> StableDiffusionPipeline:
    tokenizer = _clip_tokenizer()
    part = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    checker = CLIPConfig(
        text_config=part, vision_config={**part, "image_size": 16, "patch_size": 8}, projection_dim=WIDTH
    )
    return StableDiffusionPipeline(
        vae=_vae(scaling_factor=0.18215),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=StableDiffusionSafetyChecker(checker),
        feature_extractor=CLIPImageProcessor(),
    )


def _sd21() -> StableDiffusionPipeline:
    tokenizer = _clip_tokenizer()
    return StableDiffusionPipeline(
        vae=_vae(scaling_factor=0.18215),
        text_encoder=CLIPTextModel(_text_config(tokenizer, hidden_act="gelu")),
        tokenizer=tokenizer,
        unet=_unet(attention_head_dim=(2, 4), use_linear_projection=True, upcast_attention=True),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type="v_prediction",
        ),
        safety_checker=None,
        feature_extractor=CLIPImageProcessor(),
        requires_safety_checker=False,
    )


def _xl(scheduler: Any) -> StableDiffusionXLPipeline:
    tokenizer = _clip_tokenizer()
    return StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025, force_upcast=True),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, hidden_act="gelu")),
        tokenizer=tokenizer,
        tokenizer_2=_clip_tokenizer(),
        unet=_unet(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=2 * WIDTH,
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _sdxl() -> StableDiffusionXLPipeline:
    return _xl(
        EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="leading",
        )
    )


def _sdxl_turbo() -> StableDiffusionXLPipeline:
    return _xl(
        EulerAncestralDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="trailing",
        )
    )


def _sd35() -> StableDiffusion3Pipeline:
    tokenizer, t5_tokenizer = _clip_tokenizer(), _t5_tokenizer()
    t5 = T5Config(
        vocab_size=len(t5_tokenizer),
        d_model=2 * WIDTH,
        d_kv=8,
        d_ff=WIDTH,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH,
            out_channels=16,
            pos_embed_max_size=8,
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(16, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(_text_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, hidden_act="gelu")),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=T5EncoderModel(t5),
        tokenizer_3=t5_tokenizer,
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "sd15": _sd15,
    "sd21": _sd21,
    "sdxl": _sdxl,
    "sdxl-turbo": _sdxl_turbo,
    "sd35": _sd35,
}
