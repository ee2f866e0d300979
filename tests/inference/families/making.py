"""A tiny model of the family that only tests have, with random weights, in the layout of the published one."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
)
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

WIDTH = 16

CATALOG = """
default = "aura"

[models.aura]
title = "Tiny AuraFlow"
family = "aura"
path = "aura"
width = 64
height = 64
size_multiple = 16
min_size = 32
max_size = 256
max_pixels = 65536
steps = 4
guidance = 3.5
sampler = "FlowMatch Euler"
"""


def write(folder: Path) -> Path:
    """The model, and a models.toml that names it, which is returned."""
    torch.manual_seed(0)
    _aura().save_pretrained(folder / "aura")
    (folder / "models.toml").write_text(CATALOG)
    return folder / "models.toml"


def _aura() -> AuraFlowPipeline:
    """fal/AuraFlow, tiny."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz0123456789.,"]
    tokenizer = T5TokenizerFast(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0, model_max_length=256)
    words = UMT5Config(vocab_size=len(pieces), d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2)
    vae = AutoencoderKL(
        block_out_channels=(4,) * 4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=2,
        sample_size=128,
        scaling_factor=0.13025,
    )
    transformer = AuraFlowTransformer2DModel(
        sample_size=16,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        caption_projection_dim=WIDTH,
        pos_embed_max_size=256,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.73)
    return AuraFlowPipeline(tokenizer, UMT5EncoderModel(words), vae, transformer, scheduler)
