"""What requests are painted with: the networks that they name, loaded; and what to say where those do not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import UnavailableModel
from inference.models.handles import Followed, PictureDecoder, PictureModel, Setup
from inference.models.store import Store
from inference.painting import decoding
from inference.protocol import Fact, Imagine, Reason, because

log = logging.getLogger(__name__)

SHAPE = ("block_out_channels", "cross_attention_dim", "joint_attention_dim")
"""What a ControlNet's configuration has in common with that of a model that it stands beside."""

Sketch = Callable[..., torch.Tensor]
"""From estimated latents, and whether they are to be `precise`, to small pictures as a tensor (`decoding.sketch`)."""


def load(request: Imagine, store: Store, on_load: Callable[[], None], on_adapt: Callable[[], None]) -> Setup:
    """All that requests of this one's pass key are painted with, on the device.

    Calls `on_load` before each network that must be loaded, `on_adapt` where other LoRAs must work than before. Raises
    as `store` does.
    """
    largest = request.second or request
    model = store.use(request.model, on_load, largest.width * largest.height)
    entry = model.entry
    refiner = None if request.refiner is None else store.use_refiner(request.refiner.name, on_load)
    upscaler = None if entry.upscaler is None else store.use_upscaler(entry.upscaler, on_load)
    checker = None if entry.checker is None else store.use_checker(entry.checker, on_load)
    decoder = _decoder(model, store, on_load)
    followed = _followed(request, model, store, on_load)
    store.adapt(model, request.loras, on_adapt, request.own_loras)
    return Setup(
        model=model,
        refiner=refiner,
        followed=followed,
        upscaler=upscaler,
        checker=checker,
        decoder=decoder,
        device=store.device,
        batch=1
        if request.references
        else canonical_batch(store.catalog, model.name, request.width, request.height, store.device),
        filled=store.device.is_cuda or entry.cpu_batch == 1,
    )


def _followed(request: Imagine, model: PictureModel, store: Store, on_load: Callable[[], None]) -> tuple[Followed, ...]:
    """What follows the pictures of a request, but for those of weight 0, which nothing follows."""
    found = []
    for place, asked in enumerate(request.controls):
        if not asked.weight:
            continue
        control = store.use_control(asked.name, on_load)
        if (misfit := _misfit(control.network.config, model)) is not None:
            log.error("the ControlNet %s cannot be used with %s: %s", control.name, model.name, misfit)
            raise UnavailableModel("control_unusable", control=control.entry.title, model=model.entry.title)
        if control.entry.known_by(model.family).borrows and model.policy.offload == "group":
            # Its layers are where they are wanted for a moment each, in the order in which it takes its own steps.
            raise UnavailableModel("control_by_layers", control=control.entry.title, model=model.entry.title)
        annotator = store.use_annotator(control.entry.annotator, on_load)
        found.append(Followed(control=control, annotator=annotator, weight=asked.weight, place=place))
    return tuple(found)


def _misfit(config: Mapping[str, Any], model: PictureModel) -> str | None:
    """Why a ControlNet of this configuration can do nothing beside a model: it was made for one of another shape."""
    has = {name: model.denoiser.config.get(name) for name in SHAPE}
    if model.family.denoiser.component == "unet":
        # Its own are more where it reads a mask besides, which what stands beside it does not.
        has["in_channels"] = model.latent_channels
    for name, width in has.items():
        made_for = config.get(name)
        if None not in (made_for, width) and _listed(made_for) != _listed(width):
            return f"it was made for another width: {made_for} where the model has {width}, as {name}"
    return None


def _listed(width: Any) -> list[int]:
    return [*width] if isinstance(width, (list, tuple)) else [width]


def canonical_batch(catalog: Catalog, name: str, width: int, height: int, device: Device) -> int:
    """How many pictures of this size a pass of a model paints on this device, at most: as its `Ready` says.

    On a card that is how many every pass paints; on a CPU, where copies cost as much as pictures, none is filled up.
    """
    return catalog.info(name, on_gpu=device.is_cuda).canonical_batch(width, height)


def too_large(request: Imagine, catalog: Catalog) -> Reason:
    """For who asked for more than the memory holds, with a size of about half as many pixels."""
    entry = catalog.models[request.model]
    largest = request.second or request
    least = entry.min_size if largest is request else 0
    width, height = (
        max(least, int(size * 0.7) // entry.size_multiple * entry.size_multiple)
        for size in (largest.width, largest.height)
    )
    asked: dict[str, Fact] = {"width": largest.width, "height": largest.height}
    if request.references[1:]:
        return because("memory_for_references", **asked, count=len(request.references), model=entry.title)
    if largest is not request:
        if width >= request.width and height >= request.height:
            return because("memory_for_hires", **asked, smaller=f"{width}x{height}")
        return because("memory_for_any_hires", **asked)
    if (width, height) == (request.width, request.height):
        return because("memory_full", **asked, model=entry.title)
    return because("memory_for_size", **asked, smaller=f"{width}x{height}")


def sketch(setup: Setup) -> Sketch | None:
    """What makes previews; None where there are none."""
    model, decoder = setup.model, setup.decoder
    # The VAE would have to change places with the denoiser for it.
    if decoder is None and model.policy.offload == "model":
        return None
    network = None if decoder is None else decoder.network
    return partial(decoding.sketch, model.pipeline, model.family, decoder=network)


def _decoder(model: PictureModel, store: Store, on_load: Callable[[], None]) -> PictureDecoder | None:
    """What makes previews of a model's pictures: the decoder that it names, where that is to be had."""
    decoder = None if model.entry.decoder is None else store.use_decoder(model.entry.decoder, on_load)
    if decoder is None:
        return None
    if decoder.network.config.latent_channels != model.latent_channels:
        log.warning("%s: the decoder %s is of another family and shows nothing", model.name, model.entry.decoder)
        return None
    return decoder
