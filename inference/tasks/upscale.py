"""A picture made larger by Real-ESRGAN: whole where the memory holds it, else in tiles.

The bytes depend on the tiles, a little, near their seams; so the recipe names them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from inference import recipes
from inference.catalog.entries import Kind
from inference.catalog.reading import Catalog
from inference.device import Device, host_free_bytes
from inference.errors import OutOfMemory
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.models.handles import PictureUpscaler
from inference.models.store import Store
from inference.networks import tiles
from inference.pictures import images
from inference.protocol import Reason, Upscale, because

REQUEST = Upscale
RESULT_BYTES = 64
"""What RealESRGANer takes of the machine's own memory for a pixel of the result, in several float32 copies."""

LARGEST_ON_CPU = 256
"""A slow CPU takes a minute for a tile of this side with the largest networks: nobody waits longer to cancel."""


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about enlarging."""
    return {"upscalers": tuple(catalog.tool_info("upscaler", name) for name in here["upscaler"])}


def too_large(request: Upscale, catalog: Catalog) -> Reason:
    """For who asked for more than the memory holds."""
    width, height, title = request.image.width, request.image.height, catalog.upscalers[request.model].title
    return because("memory_for_upscale", width=width, height=height, model=title)


def run(requests: Sequence[Upscale], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Enlarge pictures of requests that may be run and have begun; each ends through `report`."""
    for request in requests:
        picture = images.read(files, request.image)
        upscaler = store.use_upscaler(request.model, functools.partial(report.step, request.job, 0, 1, "loading"))
        try:
            enlarged, tile = _enlarged(picture, request, upscaler, store, report)
        except _Abandoned:
            continue
        passes = tiles.count(upscaler.entry, *picture.size, tile, transparent=picture.mode == "RGBA")
        report.step(request.job, passes, passes, "finishing")
        made_of = recipes.enlargement(request, upscaler, tile, store.device)
        file = files[request.image.sha256]
        origin = marking.origin(picture, file)
        # The mark has grown with its picture and is not found any more.
        made_of["watermark"] = report.marks.watermark_of(enlarged) if origin == "easel" else None
        made = Painted(
            image=enlarged,
            source=marking.source_kept(origin, file),
            texts=recipes.recipe_text(made_of),
            watermarked=made_of["watermark"] is not None,
        )
        report.finish(request.job, [made], made_of)


class _Abandoned(Exception):
    """The job has been cancelled."""


def _enlarged(
    picture: Image.Image, request: Upscale, upscaler: PictureUpscaler, store: Store, report: Reporter
) -> tuple[Image.Image, int]:
    """The larger picture and the side of the tiles that it was made in.

    Raises _Abandoned where nobody wants it any more, OutOfMemory where not even the smallest tiles fit.
    """
    # Beside the network itself, and like it only once somebody enlarges something: basicsr takes seconds.
    from inference.networks.upscaler import TileTooLarge

    scale = max(request.factor, upscaler.entry.scale)
    if picture.width * picture.height * scale**2 * RESULT_BYTES > host_free_bytes():
        raise OutOfMemory.of(too_large(request, store.catalog))
    tile = first_tile(picture, upscaler, store.device)
    alone = False
    while True:
        progress = _Progress(request, upscaler, picture, tile, report)
        try:
            enlarged = upscaler.network.enlarge(
                picture, request.factor, tile=tile, denoise=request.denoise, before_tile=progress.before_tile
            )
            return enlarged, tile
        except TileTooLarge:
            pass
        store.device.release_cache()
        smaller = tiles.smaller(tile, picture.width, picture.height)
        if smaller is not None:
            tile = smaller
        elif not alone:
            # Last, because the next who wants one of the other models waits until it is loaded again.
            store.let_go()
            alone = True
        else:
            raise OutOfMemory.of(too_large(request, store.catalog))


def first_tile(picture: Image.Image, upscaler: PictureUpscaler, device: Device) -> int:
    """The side of the tiles to begin with, from what is free now."""
    largest = tiles.TILES[0] if device.is_cuda else LARGEST_ON_CPU
    free, number = device.free_bytes(), upscaler.dtype.itemsize
    return tiles.tile_for(upscaler.entry, picture.width, picture.height, free, number, largest)


class _Progress:
    """Where one attempt is."""

    def __init__(
        self, request: Upscale, upscaler: PictureUpscaler, picture: Image.Image, tile: int, report: Reporter
    ) -> None:
        self._job = request.job
        self._report = report
        self._done = 0
        self._passes = tiles.count(upscaler.entry, *picture.size, tile, transparent=picture.mode == "RGBA")

    def before_tile(self) -> None:
        if not self._report.still_wanted([self._job]):
            raise _Abandoned
        if self._done:
            self._report.give_way()
        self._report.step(self._job, self._done, self._passes)
        self._done += 1
