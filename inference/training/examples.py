"""Pictures as a denoiser learns from them: latents and words, made once and without a gradient, and kept in the run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from diffusers import training_utils
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from inference.families.words import Words
from inference.models.handles import PictureModel
from inference.painting import decoding
from inference.pictures import images
from inference.training.datasets import Dataset, picture
from inference.training.plans import Plan

FILE = "examples.safetensors"

Encoded = dict[str, torch.Tensor]
"""What a pipeline is told of one picture's words, each with a batch of 1."""


@dataclass(frozen=True)
class Example:
    """One picture to learn from."""

    latents: torch.Tensor
    """(1, channels, height, width), float32 on the CPU."""
    caption: str
    words: Encoded
    prior: bool
    """Whether it is the model's own."""


@dataclass(frozen=True)
class Examples:
    """All of one run."""

    items: tuple[Example, ...]
    unsaid: Encoded
    """What stands for no words."""


def prepare(
    model: PictureModel,
    plan: Plan,
    dataset: Dataset,
    priors: Sequence[Image.Image],
    folder: Path,
    alive: Callable[[], None],
) -> Examples:
    """The examples of a run, from its folder where they are kept there, else made and kept.

    `alive` is called before each. `priors` are the model's own pictures.
    """
    key = hashlib.sha256(msgspec.json.encode(plan)).hexdigest()
    captions = [*((item.caption, False) for item in dataset.items), *((plan.prior, True) for _ in priors)]
    kept = _kept(folder / FILE, key)
    if kept is None:
        kept = {}
        for place, image in enumerate(_pictures(dataset, priors)):
            alive()
            latents = decoding.encode(model.pipeline, model.family, _fitting(image, model, plan))
            kept[f"latents.{place}"] = latents.contiguous()
        texts = {caption: place for place, (caption, _) in enumerate(captions)}
        for caption, place in texts.items():
            alive()
            kept |= {f"words.{place}.{name}": of for name, of in _read(model, caption).items()}
        kept |= {f"unsaid.{name}": of for name, of in nothing(model).items()}
        _keep(folder / FILE, kept, key)
    places = {caption: place for place, (caption, _) in enumerate(captions)}
    return Examples(
        tuple(
            Example(kept[f"latents.{place}"], caption, _named(kept, f"words.{places[caption]}."), prior)
            for place, (caption, prior) in enumerate(captions)
        ),
        _named(kept, "unsaid."),
    )


def told(words: Words, encoded: Sequence[Any]) -> dict[str, Any]:
    """What a pipeline whose family reads words so is told of what was encoded, the negative side included."""
    pairs = zip(words.embeds, encoded, strict=False)
    return {name: tensor for name, tensor in pairs if name is not None and tensor is not None}


def read(model: PictureModel, caption: str) -> dict[str, Any]:
    """The words of one caption as the pipeline itself reads them: what it cannot read at once is cut off."""
    words = model.family.words
    encoded = told(words, words.encode(model.pipeline, caption, "", False))
    return {name: tensor for name, tensor in encoded.items() if not name.startswith("negative_")}


@torch.no_grad()
def nothing(model: PictureModel) -> Encoded:
    """What stands for no words: where there is a negative side, what it is told then, which need not be empty words."""
    words = model.family.words
    if words.negative:
        encoded = told(words, words.encode(model.pipeline, "", "", True))
        sides = {name.removeprefix("negative_"): of for name, of in encoded.items() if name.startswith("negative_")}
        if sides:
            return _at_home(sides)
    return _at_home(read(model, ""))


@torch.no_grad()
def _read(model: PictureModel, caption: str) -> Encoded:
    return _at_home(read(model, caption))


def _at_home(tensors: dict[str, Any]) -> Encoded:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _pictures(dataset: Dataset, priors: Iterable[Image.Image]) -> Iterable[Image.Image]:
    yield from (picture(item.file) for item in dataset.items)
    yield from priors


def _fitting(image: Image.Image, model: PictureModel, plan: Plan) -> Image.Image:
    """The picture at about the plan's size, in the nearest of the usual proportions."""
    multiple = math.lcm(model.entry.size_multiple, model.latent_factor)
    untyped: Any = training_utils
    sizes = untyped.generate_aspect_ratio_buckets(math.isqrt(plan.pixels), divisibility=multiple)
    height, width = sizes[untyped.find_nearest_bucket(image.height, image.width, sizes)]
    return images.fitting(image, width, height)


def _named(tensors: Encoded, start: str) -> Encoded:
    return {name.removeprefix(start): of for name, of in tensors.items() if name.startswith(start)}


def _kept(file: Path, key: str) -> Encoded | None:
    try:
        with safe_open(file, "pt") as opened:
            if (opened.metadata() or {}).get("key") != key:
                return None
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        # Not there yet, or cut off: it is made again.
        return None


def _keep(file: Path, tensors: Encoded, key: str) -> None:
    part = file.with_suffix(".part")
    save_file(tensors, part, {"key": key})
    part.replace(file)
