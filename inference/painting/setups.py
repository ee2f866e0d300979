"""What requests are painted with: the networks that they name, loaded; and what to say where those do not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable

from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models.handles import PictureDecoder, PictureModel, Setup
from inference.models.store import Store
from inference.protocol import Imagine

log = logging.getLogger(__name__)


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
    decoder = _decoder(model, store, on_load) if checker is None else None
    control = annotator = None
    if request.control is not None and request.control.weight:
        control = store.use_control(request.control.name, on_load)
        annotator = store.use_annotator(control.entry.annotator, on_load)
    store.adapt(model, request.loras, on_adapt)
    return Setup(
        model=model,
        refiner=refiner,
        control=control,
        annotator=annotator,
        upscaler=upscaler,
        checker=checker,
        decoder=decoder,
        device=store.device,
        batch=canonical_batch(entry, request.width, request.height, store.device),
    )


def canonical_batch(entry: ModelEntry, width: int, height: int, device: Device) -> int:
    """How many pictures every pass paints at this size on this device, always.

    On a CPU it is 1, where filling up costs as much as painting; so it is for pictures larger than the model's own.
    """
    return entry.batch if device.is_cuda and width * height <= entry.width * entry.height else 1


def too_large(request: Imagine, catalog: Catalog) -> str:
    """A sentence for who asked for more than the memory holds, naming a size of about half as many pixels."""
    entry = catalog.models[request.model]
    largest = request.second or request
    least = entry.min_size if largest is request else 0
    sizes = [
        max(least, int(size * 0.7) // entry.size_multiple * entry.size_multiple)
        for size in (largest.width, largest.height)
    ]
    asked = f"{largest.width}x{largest.height}"
    if largest is not request:
        fits = sizes[0] >= request.width and sizes[1] >= request.height
        instead = f"try {sizes[0]}x{sizes[1]}" if fits else "leave it out"
        return f"A second pass at {asked} does not fit into the device's memory; {instead}."
    if sizes == [request.width, request.height]:
        return f"The device's memory is full and {asked} is the smallest size of {entry.title}; try again later."
    return f"{asked} does not fit into the device's memory; try {sizes[0]}x{sizes[1]}."


def _decoder(model: PictureModel, store: Store, on_load: Callable[[], None]) -> PictureDecoder | None:
    """What makes previews of a model's pictures: the decoder that it names, where that is to be had."""
    decoder = None if model.entry.decoder is None else store.use_decoder(model.entry.decoder, on_load)
    if decoder is None:
        return None
    if decoder.network.config.latent_channels != model.pipeline.vae.config.latent_channels:
        log.warning("%s: the decoder %s is of another family and shows nothing", model.name, model.entry.decoder)
        return None
    return decoder
