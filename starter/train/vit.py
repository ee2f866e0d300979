"""A small CLIP model, and a start for its vision tower that lets it see shapes early.

A vision transformer has to find out for itself that neighbouring patches belong together, which costs it most of a
short training. Here some heads of every layer start out looking at one neighbour each, as a convolution does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of both towers."""

    side: int = 64
    patch: int = 8
    width: int = 160
    layers: int = 4
    heads: int = 5
    text_width: int = 128
    text_layers: int = 2
    projection: int = 128


# In turns, layer by layer: the four neighbours, then the four across the corners.
NEIGHBOURS = (((-1, 0), (1, 0), (0, -1), (0, 1)), ((-1, -1), (1, -1), (-1, 1), (1, 1)))
# How much the logits of a head prefer the neighbour it looks at.
SHARPNESS = 1.5


def new_clip(tokenizer: CLIPTokenizer, shape: Shape) -> CLIPModel:
    """An untrained CLIP model for that tokenizer."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.text_width,
        intermediate_size=4 * shape.text_width,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=shape.projection,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        image_size=shape.side,
        patch_size=shape.patch,
        hidden_size=shape.width,
        intermediate_size=4 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        projection_dim=shape.projection,
    )
    config = CLIPConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=shape.projection,
        logit_scale_init_value=math.log(20.0),
    )
    # Written out, attention trains more than twice as fast as fused, in bfloat16 on a CPU.
    build: Any = CLIPModel
    model: CLIPModel = build._from_config(config, attn_implementation="eager")
    see_neighbours(model)
    return model


@torch.no_grad()
def see_neighbours(model: CLIPModel) -> None:
    """Start the vision tower with positions as waves, and heads that look at neighbours by them."""
    vision = model.vision_model
    config = vision.config
    grid, width = config.image_size // config.patch_size, config.hidden_size
    head = width // config.num_attention_heads
    waves = head // 4
    # Below half a wave on the grid, so that no two places look alike.
    turns = math.pi * torch.arange(1, waves + 1) / max(grid, waves)
    places = torch.arange(grid).float()
    angles = places[:, None] * turns
    wave = math.sqrt(2) * torch.cat([angles.cos(), angles.sin()], dim=1)  # (grid, 2 waves)
    rows, columns = wave[:, None].expand(-1, grid, -1), wave[None].expand(grid, -1, -1)
    positions = torch.cat([columns, rows], dim=-1).reshape(grid * grid, head)

    embeddings = vision.embeddings
    embeddings.position_embedding.weight.zero_()
    embeddings.position_embedding.weight[1:, -head:] = positions
    # Contents as strong as positions, and in other directions.
    pixels = 3 * config.patch_size**2
    nn.init.normal_(embeddings.patch_embedding.weight, std=pixels**-0.5)
    embeddings.patch_embedding.weight[-head:] = 0
    nn.init.normal_(embeddings.class_embedding)
    embeddings.class_embedding[-head:] = 0

    for number, layer in enumerate(vision.encoder.layers):
        attention = layer.self_attn
        for turn, (dx, dy) in enumerate(NEIGHBOURS[number % 2][: config.num_attention_heads - 1]):
            own = slice(turn * head, (turn + 1) * head)
            attention.k_proj.weight[own] = 0
            attention.k_proj.weight[own, -head:] = SHARPNESS**0.5 * torch.eye(head)
            attention.q_proj.weight[own] = 0
            for axis, offset in enumerate((dx, dy)):
                part = slice(own.start + axis * head // 2, own.start + (axis + 1) * head // 2)
                waves_of = slice(width - head + axis * head // 2, width - head + (axis + 1) * head // 2)
                attention.q_proj.weight[part, waves_of] = SHARPNESS**0.5 * _turned(offset * turns)


def _turned(angles: torch.Tensor) -> torch.Tensor:
    """The matrix that turns waves (cosines, then sines) on by these angles."""
    cos, sin = angles.cos().diag(), angles.sin().diag()
    return torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])
