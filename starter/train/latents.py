"""Latents of the training scenes: encoded once and kept (encoding costs more than training), and balanced.

A small VAE puts most of its signal into one direction of the latent, brightness, and little into colour, which the
noise then drowns for most of the way. Balancing turns the directions' strengths towards one another; the change is
written into the VAE's own 1x1 convolutions, so that the exported VAE gives and takes balanced latents.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from starter.train.picture import encode_scenes
from starter.train.pictures import render_all, sample_scenes
from starter.train.vae import Vae, measure_scale, new_vae
from starter.world import Scene


def _encode_part(part: tuple[list[Scene], dict[str, torch.Tensor], float]) -> torch.Tensor:
    scenes, weights, scale = part
    torch.set_num_threads(1)
    vae = new_vae()
    vae.load_state_dict(weights)
    return encode_scenes(vae.eval(), scenes, scale)


@dataclass(frozen=True, slots=True)
class Latents:
    """Balanced and scaled latents, float16, with what the VAE needs to give such ones."""

    values: torch.Tensor
    scale: float
    balance: torch.Tensor


def balance_of(latents: torch.Tensor, strength: float = 0.6) -> torch.Tensor:
    """The 4x4 matrix that brings the latents' directions nearer to equal strength, without turning them."""
    cells = latents[:2000].float().permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    variances, directions = torch.linalg.eigh(torch.cov(cells.T))
    # A direction that hardly carries anything is noise; it must not be blown up.
    gains = variances.clamp(min=1e-8).sqrt().pow(-strength).clamp(max=1.6)
    balance: torch.Tensor = directions @ torch.diag(gains) @ directions.T
    return balance


@torch.no_grad()
def balance_vae(vae: Vae, balance: torch.Tensor) -> None:
    """Let the VAE give and take latents that are multiplied by this matrix."""
    matrix = balance.to(vae.quant_conv.weight)
    channels = len(matrix)
    encode, decode = vae.quant_conv, vae.post_quant_conv
    encode.weight[:channels] = torch.einsum("ij,jkhw->ikhw", matrix, encode.weight[:channels])
    encode.bias[:channels] = matrix @ encode.bias[:channels]
    decode.weight.copy_(torch.einsum("ijhw,jk->ikhw", decode.weight, torch.linalg.inv(matrix)))


def keep_latents(
    path: Path, scenes: list[Scene], weights: dict[str, torch.Tensor], device: torch.device, workers: int = 2
) -> Latents:
    """The scenes' latents, from the file if it is there, else encoded and written to it."""
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if len(kept["latents"]) == len(scenes):
            return Latents(kept["latents"], float(kept["scale"]), kept["balance"])
    vae = new_vae().to(device)
    vae.load_state_dict(weights)
    scale = measure_scale(vae.eval(), render_all(sample_scenes(256, seed=12), 64).to(device))
    if device.type == "cuda":
        latents = encode_scenes(vae, scenes, scale).cpu()
    else:
        parts = [(scenes[start : start + 1024], weights, scale) for start in range(0, len(scenes), 1024)]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            latents = torch.cat(list(pool.map(_encode_part, parts)))
    balance = balance_of(latents)
    latents = torch.einsum("ij,njhw->nihw", balance, latents.float()).half()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"latents": latents, "scale": scale, "balance": balance}, path)
    return Latents(latents, scale, balance)
