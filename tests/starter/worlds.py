"""Models as small as can be, untrained: a picture model in the folder where stages look for one, and a CLIP's shape."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from starter.train.export import export_picture
from starter.train.plan import Plan
from starter.train.text import new_text_encoder, new_tokenizer
from starter.train.vae import new_vae
from starter.train.vit import Shape

TINY_CLIP = Shape(patch=16, width=32, layers=2, heads=2, text_width=16, text_layers=1, projection=16)


def small_unet(latents: int) -> UNet2DConditionModel:
    """An untrained UNet on 16 x 16 of so many latents, which reads the words of a tower 16 wide."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=latents,
        out_channels=latents,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 16, 16),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def plan_with_a_small_picture_model(folder: Path) -> Plan:
    """A plan whose models and checkpoints lie in the folder, with an exported picture model."""
    torch.manual_seed(0)
    tokenizer = new_tokenizer(sentences=500)
    unet = small_unet(latents=4)
    words = new_text_encoder(tokenizer, width=16, layers=1)
    export_picture(folder / "models" / "picture", new_vae((8, 8, 8)), unet, words, tokenizer)
    return Plan(torch.device("cpu"), build=folder / "build", models=folder / "models")
