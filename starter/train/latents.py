"""Latents of the training scenes, encoded once and kept: encoding them costs more than training on them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from starter.train.picture import encode_scenes
from starter.train.pictures import render_all, sample_scenes
from starter.train.vae import measure_scale, new_vae
from starter.world import Scene


def _encode_part(part: tuple[list[Scene], dict[str, torch.Tensor], float, int]) -> torch.Tensor:
    scenes, weights, scale, side = part
    torch.set_num_threads(1)
    vae = new_vae()
    vae.load_state_dict(weights)
    return encode_scenes(vae.eval(), scenes, scale, side)


@dataclass(frozen=True, slots=True)
class Latents:
    """Scaled latents, float16, (n, 4, side / 4, side / 4), and the factor that scaled them."""

    values: torch.Tensor
    scale: float


def keep_latents(
    path: Path,
    scenes: list[Scene],
    weights: dict[str, torch.Tensor],
    device: torch.device,
    side: int = 64,
    scale: float | None = None,
    workers: int = 2,
) -> Latents:
    """The latents of the scenes as pictures of this side in pixels; `scale` is measured where none is given.

    From the file if it is there, else encoded and written to it.
    """
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if len(kept["latents"]) == len(scenes):
            return Latents(kept["latents"], float(kept["scale"]))
    vae = new_vae().to(device)
    vae.load_state_dict(weights)
    vae.eval()
    if scale is None:
        scale = measure_scale(vae, render_all(sample_scenes(256, seed=12), 64).to(device))
    if device.type == "cuda":
        latents = encode_scenes(vae, scenes, scale, side).cpu()
    else:
        of_part = 1024 * 64**2 // side**2
        parts = [(scenes[start : start + of_part], weights, scale, side) for start in range(0, len(scenes), of_part)]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            latents = torch.cat(list(pool.map(_encode_part, parts)))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"latents": latents, "scale": scale}, path)
    return Latents(latents, scale)
