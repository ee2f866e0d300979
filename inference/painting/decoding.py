"""Between latents and pictures: with the pipeline's own VAE for what is kept, pooled for a preview, by a tiny decoder
where there is one.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image

from inference.errors import NotFinite
from inference.families.latents import decoded
from inference.families.record import Family
from inference.models import placement
from inference.networks.finite import is_finite

log = logging.getLogger(__name__)

TINY_LATENTS = 64
"""The longer side that latents are pooled to before a tiny decoder shows them, which costs about a tenth of the VAE: at
the usual factor of 8 this is all that a preview shows (`images.PREVIEW_PIXELS`), and still cheaper than the VAE's
quarter of it."""


@torch.no_grad()
def decode(pipeline: Any, family: Family, latents: torch.Tensor) -> list[Image.Image]:
    """The pictures that these latents (batch, channels, height, width) stand for, as the pipeline itself decodes them.

    Decode pictures that are kept one at a time: then their bytes do not depend on each other, and memory stays small.
    Raises NotFinite where nothing comes of them in float32 either.
    """
    latents = latents.to(placement.where(pipeline))
    return _as_pictures(pipeline, _by_vae(pipeline, family, lambda vae: family.latents.decode(vae, latents)))


@torch.no_grad()
def encode(pipeline: Any, family: Family, picture: Image.Image, kept: torch.Tensor | None = None) -> torch.Tensor:
    """The latents (1, channels, height, width) of an RGB picture, float32 on the CPU; always the same for the same.

    With `kept`, (1, 1, height, width) in pixels, what is 0 there is seen as grey.

    Raises NotFinite where nothing comes of it in float32 either.
    """
    pixels = pipeline.image_processor.preprocess(picture)
    pixels = (pixels if kept is None else pixels * kept).to(placement.where(pipeline))

    def encoded(vae: Any) -> torch.Tensor:
        return family.latents.encode(vae, pixels.to(vae.dtype)).float().cpu()

    return _by_vae(pipeline, family, encoded)


@torch.no_grad()
def sketch(
    pipeline: Any, family: Family, latents: torch.Tensor, decoder: Any | None = None, precise: bool = False
) -> torch.Tensor:
    """An image tensor of these latents, whatever their size, at the cost of a small decode, as `pictures` takes it.

    `decoder` is an AutoencoderTiny of the pipeline's latents; without one its VAE decodes fewer of them, in float32
    where it is to be `precise`. Asks the device nothing.
    """
    height, width = latents.shape[-2:]
    factor = -(-max(height, width) // (family.latents.preview if decoder is None else TINY_LATENTS))
    if factor > 1:
        size = (max(1, height // factor), max(1, width // factor))
        latents = torch.nn.functional.interpolate(latents.float(), size=size, mode="area")
    if decoder is not None:
        return decoded(decoder, latents.to(decoder.device))
    with _in_precision(pipeline, torch.float32 if precise else _precision(pipeline.vae, family)):
        return family.latents.decode(pipeline.vae, latents.to(placement.where(pipeline)))


def pictures(pipeline: Any, image: torch.Tensor) -> list[Image.Image]:
    """Those of an image tensor. Raises NotFinite where it shows nothing. Waits for the device that it is on."""
    if not is_finite(image):
        raise NotFinite("nothing_to_see")
    return _as_pictures(pipeline, image)


def _as_pictures(pipeline: Any, image: torch.Tensor) -> list[Image.Image]:
    pictures: list[Image.Image] = pipeline.image_processor.postprocess(image, output_type="pil")
    return pictures


def _by_vae(pipeline: Any, family: Family, work: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """What the VAE makes in the precision that it works in, or else in float32, which holds larger numbers.

    Raises NotFinite where that is not enough.
    """
    vae = pipeline.vae
    for precision in dict.fromkeys((_precision(vae, family), torch.float32)):
        with _in_precision(pipeline, precision):
            made = work(vae)
        if is_finite(made):
            return made
        if precision != torch.float32:
            _warn_once(pipeline.name_or_path, precision)
    log.error("the VAE of %s makes what is no number, in float32 too", pipeline.name_or_path)
    raise NotFinite("no_numbers")


def _precision(vae: Any, family: Family) -> torch.dtype:
    """What a VAE works in, as long as that is enough."""
    expected = family.latents.upcast and vae.dtype == torch.float16 and vae.config.force_upcast
    return torch.float32 if expected else vae.dtype


@contextmanager
def _in_precision(pipeline: Any, dtype: torch.dtype) -> Iterator[None]:
    """The VAE in this precision; where it is on the device for its work alone, it leaves at the end."""
    vae, kept_in = pipeline.vae, pipeline.vae.dtype
    # Casting it up and down again loses nothing.
    if dtype != kept_in:
        vae.to(dtype=dtype)
    try:
        yield
    finally:
        if dtype != kept_in:
            vae.to(dtype=kept_in)
        placement.rest(pipeline)


@functools.cache
def _warn_once(name: str, dtype: torch.dtype) -> None:
    log.warning("the VAE of %s makes what is no number in %s: such pictures are made again in float32", name, dtype)
