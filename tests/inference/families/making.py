"""Tiny models of the families that only tests have, with random weights, in the layouts of the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKLQwenImage,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
)
from tokenizers import pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
)

WIDTH = 16

CATALOG = """
default = "sana"

[models.sana]
title = "Tiny Sana"
family = "sana"
path = "sana"
width = 128
height = 128
size_multiple = 32
min_size = 64
max_size = 256
max_pixels = 65536
steps = 4
guidance = 4.5
sampler = "DPM++ 2M"

[models.qwen]
title = "Tiny Qwen-Image"
family = "qwen"
path = "qwen"
width = 128
height = 128
size_multiple = 16
min_size = 64
max_size = 256
max_pixels = 65536
steps = 4
guidance = 4
sampler = "FlowMatch Euler"
"""


def write(folder: Path) -> Path:
    """Both models, and a models.toml that names them, which is returned."""
    torch.manual_seed(0)
    _sana().save_pretrained(folder / "sana")
    _qwen().save_pretrained(folder / "qwen")
    (folder / "models.toml").write_text(CATALOG)
    return folder / "models.toml"


def _sana() -> SanaPipeline:
    """Efficient-Large-Model/Sana_1600M_1024px_diffusers, tiny."""
    letters = "▁abcdefghijklmnopqrstuvwxyz0123456789.,"
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *letters]
    tokenizer = GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    words = Gemma2Config(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    half: dict[str, Any] = {
        "block_types": ("ResBlock",) * 5 + ("EfficientViTBlock",),
        "block_out_channels": (8,) * 6,
        "layers_per_block": (1,) * 6,
        "qkv_multiscales": ((),) * 5 + ((5,),),
    }
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        scaling_factor=0.41407,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in half.items()},
    )
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=WIDTH,
        caption_channels=WIDTH,
        sample_size=4,
    )
    scheduler = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    return SanaPipeline(tokenizer, Gemma2Model(words), vae, transformer, scheduler)


def _qwen() -> QwenImagePipeline:
    """Qwen/Qwen-Image, tiny."""
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        extra_special_tokens={"im_start": "<|im_start|>", "im_end": "<|im_end|>"},
    )
    special: dict[str, Any] = {"bos_token_id": len(pieces) - 3, "eos_token_id": len(pieces) - 1}
    words: dict[str, Any] = {
        "vocab_size": len(pieces),
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1000000.0},
        **special,
    }
    seen: dict[str, Any] = {"depth": 1, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_heads": 2}
    marks: dict[str, Any] = dict.fromkeys(
        ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"), 0
    )
    config = Qwen2_5_VLConfig(
        text_config=words,
        vision_config={**seen, "out_hidden_size": WIDTH, "fullatt_block_indexes": [0]},
        **marks,
        **special,
    )
    vae = AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.5, 2.0, 1.2, 0.9],
    )
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=0.9,
        base_image_seq_len=256,
        max_image_seq_len=8192,
        shift_terminal=0.02,
    )
    return QwenImagePipeline(scheduler, vae, Qwen2_5_VLForConditionalGeneration(config), tokenizer, transformer)
