"""What ControlNets were given, what they saw and what was painted along it, side by side in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from PIL import Image

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.painting import controlnet
from inference.pictures import drawing, images
from inference.protocol import Compare, Reason, because

REQUEST = Compare


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about comparing: nothing that `tasks.imagine` does not."""
    return {}


def too_large(request: Compare, catalog: Catalog) -> Reason:
    """For whom the memory was full."""
    return because("memory_for_comparison")


def run(requests: Sequence[Compare], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Draw comparisons that may be run and have begun; each ends through `report`."""
    for request in requests:
        report.step(request.job, 0, 1)
        painted = [images.opaque(images.read(files, one)) for one in request.painted]
        followed: list[Image.Image] = []
        seen_by = []
        for name, image in request.followed:
            entry = store.catalog.controls[name]
            annotator = store.use_annotator(entry.annotator, partial(report.step, request.job, 0, 1, "loading"))
            given = images.fitting(images.read(files, image), request.width, request.height)
            followed += [given, controlnet.seen(given, entry, annotator)]
            seen_by.append((entry, annotator))
        of_given, of_seen, of_painted = request.captions
        captions = [*([of_given, of_seen] * len(seen_by)), *([of_painted] * len(painted))]
        if report.still_wanted([request.job]):
            made_of = recipes.comparison(request, seen_by, store.device)
            together = drawing.side_by_side([*followed, *painted], captions)
            texts = recipes.recipe_text(made_of)
            report.finish(request.job, [Painted(image=together, source="compositeSynthetic", texts=texts)], made_of)
