"""Writes trained weights as the folders that the product loads: a diffusers pipeline, a judge, an upscaler."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from starter.train.picture import NOISE, Unet
from starter.train.vae import Vae

# Read by other samplers when they are made from the stored configuration; DPM-Solver itself ignores them.
# (The pipeline warns of any steps_offset but 1; with trailing spacing nothing reads it.)
# Karras' spacing starts at sigma_max: with no signal at all at the end that would be 4096, and eight steps from
# there are lost in noise; at 20 nothing of the picture is left to see either.
FOR_OTHER_SAMPLERS = {"clip_sample": False, "set_alpha_to_one": True, "steps_offset": 1, "sigma_max": 20.0}


def export_picture(
    folder: Path,
    vae: Vae,
    unet: Unet,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    vocabulary: Sequence[str] = (),
) -> None:
    """Replace the folder by an ordinary Stable Diffusion pipeline in float16; the modules stay as they are.

    The words that the model was taught, if they are given, stand beside it in `vocabulary.txt`, one a line.
    """
    words: Any = copy.deepcopy(text_encoder)
    # It remembers how it was called last, and would write that down.
    spelling: Any = copy.deepcopy(tokenizer)
    spelling.backend_tokenizer.no_padding()
    spelling.backend_tokenizer.no_truncation()
    scheduler: Any = DPMSolverMultistepScheduler(**NOISE, steps_offset=1)  # type: ignore[no-untyped-call]
    pipeline: Any = StableDiffusionPipeline(  # type: ignore[no-untyped-call]
        vae=copy.deepcopy(vae).half(),
        text_encoder=words.half(),
        tokenizer=spelling,
        unet=copy.deepcopy(unet).half(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with replacing(folder) as part:
        pipeline.save_pretrained(part)
        settings = part / "scheduler" / "scheduler_config.json"
        stored = json.loads(settings.read_text()) | FOR_OTHER_SAMPLERS
        settings.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n")
        if vocabulary:
            (part / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")


def export_network(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write a network's weights, those of the judge say, in float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.half().contiguous() for name, weight in weights.items()}, path)
    path.chmod(0o644)


def export_upscaler(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write the upscaler as Real-ESRGAN's own loader reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"params": {name: weight.cpu().contiguous() for name, weight in weights.items()}}, path)
    path.chmod(0o644)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder to write to; once all is written it takes the place of `folder`, readable by everybody."""
    part, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    for path in part.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    part.chmod(0o755)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
