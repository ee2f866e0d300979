"""A tiny model of the family that only tests have, with random weights, in the layout of the published one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    DPMSolverMultistepScheduler,
    SanaPipeline,
    SanaTransformer2DModel,
)
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

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
"""


def write(folder: Path) -> Path:
    """The model, and a models.toml that names it, which is returned."""
    torch.manual_seed(0)
    _sana().save_pretrained(folder / "sana")
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
