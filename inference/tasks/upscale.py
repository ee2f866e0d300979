"""A picture made larger by an upscaler: whole where the memory holds it, else in tiles.

The bytes depend on the tiles, a little, near their seams; so the recipe names them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device, host_free_bytes
from inference.errors import OutOfMemory
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.models.handles import PictureRestorer, PictureUpscaler
from inference.models.store import Store
from inference.networks import faces, tiles
from inference.networks.tiles import TileTooLarge
from inference.pictures import images
from inference.protocol import Answer, Reason, Upscale, because

REQUEST = Upscale
RESULT_BYTES = 64
"""What RealESRGANer takes of the machine's own memory for a pixel of the result, in several float32 copies."""

LARGEST_ON_CPU = 256
"""A slow CPU takes a minute for a tile of this side with the largest networks: nobody waits longer to cancel."""


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about enlarging."""
    return {
        "upscalers": tuple(catalog.tool_info("upscaler", name, device.is_cuda) for name in here["upscaler"]),
        "restorers": tuple(catalog.tool_info("restorer", name, device.is_cuda) for name in here["restorer"]),
    }


def too_large(request: Upscale, catalog: Catalog) -> Reason:
    """For who asked for more than the memory holds."""
    width, height, title = request.image.width, request.image.height, catalog.upscalers[request.model].title
    return because("memory_for_upscale", width=width, height=height, model=title)


def run(requests: Sequence[Upscale], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Enlarge pictures of requests that may be run and have begun; each ends through `report`."""
    for request in requests:
        picture = images.read(files, request.image)
        loading = functools.partial(report.step, request.job, 0, 1, "loading")
        upscaler = store.use_upscaler(request.model, loading)
        places = [] if request.faces is None else faces.find(np.asarray(picture.convert("RGB")))
        # Nobody waits for what has nothing to do.
        restorer = store.use_restorer(request.faces, loading) if request.faces is not None and places else None
        try:
            enlarged, tile = _enlarged(picture, request, upscaler, len(places), store, report)
            passes = tiles.count(upscaler.scale, *picture.size, tile, transparent=picture.mode == "RGBA")
            if restorer is not None:
                enlarged = _with_faces(picture, enlarged, places, passes, request, restorer, store, report)
        except _Abandoned:
            continue
        report.step(request.job, passes + len(places), passes + len(places), "finishing")
        restored = None if restorer is None else (restorer, len(places))
        made_of = recipes.enlargement(request, upscaler, tile, store.device, restored)
        file = files[request.image.sha256]
        origin = marking.origin(picture, file)
        # The mark has grown with its picture and is not found any more.
        made_of["watermark"] = report.marks.watermark_of(enlarged) if origin == "easel" else None
        made = Painted(
            image=enlarged,
            source=marking.source_kept(origin, file),
            made_by=marking.made_by(made_of),
            texts=recipes.recipe_text(made_of),
            watermarked=made_of["watermark"] is not None,
        )
        missed = request.faces is not None and not places
        report.finish(request.job, [made], made_of, Answer(notes=(because("no_faces"),) if missed else ()))


class _Abandoned(Exception):
    """The job has been cancelled."""


def _enlarged(
    picture: Image.Image, request: Upscale, upscaler: PictureUpscaler, faces: int, store: Store, report: Reporter
) -> tuple[Image.Image, int]:
    """The larger picture and the side of the tiles that it was made in; so many faces are still to be made anew.

    Raises _Abandoned where nobody wants it any more, OutOfMemory where not even the smallest tiles fit.
    """
    scale = max(request.factor, upscaler.scale)
    if picture.width * picture.height * scale**2 * RESULT_BYTES > host_free_bytes():
        raise OutOfMemory.of(too_large(request, store.catalog))
    tile = first_tile(picture, upscaler, store.device)
    alone = False
    while True:
        passes = tiles.count(upscaler.scale, *picture.size, tile, transparent=picture.mode == "RGBA")
        progress = _Progress(request, 0, passes + faces, report)
        try:
            enlarged = upscaler.network.enlarge(
                picture, request.factor, tile=tile, denoise=request.denoise, before_tile=progress.before_pass
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


def _with_faces(
    picture: Image.Image,
    enlarged: Image.Image,
    places: Sequence[faces.Points],
    passes: int,
    request: Upscale,
    restorer: PictureRestorer,
    store: Store,
    report: Reporter,
) -> Image.Image:
    """The enlarged picture with these faces of the smaller one made anew. Raises as `_enlarged`."""
    for last in (False, True):
        progress = _Progress(request, passes, passes + len(places), report)
        try:
            return restorer.network.restore(picture, enlarged, places, request.factor, progress.before_pass)
        except TileTooLarge:
            pass
        if last:
            break
        store.let_go()
    raise OutOfMemory.of(too_large(request, store.catalog))


def first_tile(picture: Image.Image, upscaler: PictureUpscaler, device: Device) -> int:
    """The side of the tiles to begin with, from what is free now."""
    largest = tiles.TILES[0] if device.is_cuda else LARGEST_ON_CPU
    free, number = device.free_bytes(), upscaler.dtype.itemsize
    return tiles.tile_for(upscaler.network.appetite, picture.width, picture.height, free, number, largest)


class _Progress:
    """Where one attempt is."""

    def __init__(self, request: Upscale, done: int, passes: int, report: Reporter) -> None:
        self._job = request.job
        self._report = report
        self._began_at = self._done = done
        self._passes = passes

    def before_pass(self) -> None:
        if not self._report.still_wanted([self._job]):
            raise _Abandoned
        if self._done > self._began_at:
            self._report.give_way()
        self._report.step(self._job, self._done, self._passes)
        self._done += 1
