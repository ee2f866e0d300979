"""What made a picture: its recipe, and the same in the words that Stable Diffusion tools read from a PNG."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
import torch

from inference.device import Device
from inference.protocol import Imagine
from inference.store import PictureModel, PictureUpscaler

LIBRARIES = ("torch", "diffusers", "transformers", "safetensors", "pillow", "realesrgan", "basicsr")


def recipe(
    request: Imagine,
    model: PictureModel,
    scheduler: Any,
    upscaler: PictureUpscaler | None,
    device: Device,
    batch: int,
) -> dict[str, Any]:
    """Everything that decides the bytes of a job's pictures, as plain values that JSON and MessagePack can hold.

    `batch` is the canonical batch size that the pictures were painted at.
    """
    asked = msgspec.to_builtins(request)
    asked.pop("job")
    config = {key: _plain(value) for key, value in scheduler.config.items() if not key.startswith("_")}
    source = {"path": model.entry.path} if model.entry.repo is None else {"repo": model.entry.repo}
    painted_on: dict[str, Any] = {"name": device.name, "dtype": str(model.dtype).removeprefix("torch.")}
    if not device.is_cuda:
        # The number of threads decides in which order sums are added up.
        painted_on |= {"machine": platform.machine(), "threads": torch.get_num_threads()}
    made_of: dict[str, Any] = {
        "request": asked,
        "model": {
            "name": model.name,
            **source,
            "revision": model.revision,
            "variant": model.entry.variant,
            "hash": model_hash(model),
            "components": model.hashes,
        },
        "scheduler": {"class": type(scheduler).__name__, "config": config},
        "upscaler": None
        if upscaler is None
        else {"name": upscaler.name, "hash": upscaler.hash, "scale": upscaler.entry.scale},
        "device": painted_on,
        "batch": batch,
        "versions": versions(),
    }
    return made_of


def png_texts(request: Imagine, model: PictureModel, seed: int, index: int, made_of: dict[str, Any]) -> dict[str, str]:
    """The text chunks of one picture: `parameters` for other tools, `easel` with the whole recipe as JSON."""
    return {
        "parameters": parameters(request, model_hash(model), seed),
        "easel": json.dumps({**made_of, "picture": index}, ensure_ascii=False, separators=(",", ":")),
    }


def parameters(request: Imagine, model_sha: str, seed: int) -> str:
    """A picture's recipe as AUTOMATIC1111 writes it and as every Stable Diffusion tool reads it.

    `seed` tells the picture from its neighbours (`protocol.Picture.seed`).
    """
    fields: dict[str, Any] = {
        "Steps": request.steps,
        "Sampler": request.sampler,
        "CFG scale": request.guidance,
        "Seed": request.seed if request.variations else seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": model_sha,
        "Model": request.model,
    }
    if request.variations:
        # The format has room for one variation; where there are several, the `easel` text holds them all.
        fields |= {"Variation seed": seed, "Variation seed strength": request.variations[-1].strength}
    fields["Version"] = f"easel {versions()['easel']}"
    lines = [request.prompt]
    if request.negative:
        lines.append(f"Negative prompt: {request.negative}")
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in fields.items()))
    return "\n".join(lines)


def model_hash(model: PictureModel) -> str:
    """The short hash that stands for the model: that of its denoiser's weights."""
    return model.hashes["unet"] if "unet" in model.hashes else model.hashes["transformer"]


def versions() -> Mapping[str, str]:
    """Versions of Easel and of the libraries that a picture's bytes depend on."""
    return {"easel": _version("easel"), "python": platform.python_version()} | {
        library: _version(library) for library in LIBRARIES
    }


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: JSON has no infinity, and some schedulers clip at it."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"


def _quoted(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ",:\n") else text
