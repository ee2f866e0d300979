"""What a ControlNet was given, what it saw and what was painted along it, side by side in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from inference import recipes
from inference.catalog.entries import Kind
from inference.catalog.reading import Catalog
from inference.errors import InvalidInput, UnavailableModel
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.painting import controlnet
from inference.pictures import drawing, images
from inference.protocol import Compare

REQUEST = Compare
MAX_PAINTED = 4
MAX_SIDE = 8192


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]]) -> dict[str, Any]:
    """What `protocol.Ready` says about comparing: nothing that `tasks.imagine` does not."""
    return {}


def check(request: Compare, catalog: Catalog) -> None:
    """Raise InvalidInput or UnavailableModel, in a sentence for the member, where there is nothing to compare."""
    if request.model not in catalog.controls:
        raise UnavailableModel(f"There is no ControlNet called {request.model}.")
    if not 1 <= len(request.painted) <= MAX_PAINTED:
        raise InvalidInput(f"1 to {MAX_PAINTED} pictures are compared, not {len(request.painted)}.")
    if not (8 <= request.width <= MAX_SIDE and 8 <= request.height <= MAX_SIDE):
        raise InvalidInput(f"No picture was painted at {request.width}x{request.height}.")


def too_large(request: Compare, catalog: Catalog) -> str:
    """A sentence for whom the memory was full."""
    return "The device's memory is full: nothing can be compared now; try again later."


def run(requests: Sequence[Compare], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Draw comparisons that have been checked and begun; each ends through `report`."""
    for request in requests:
        report.step(request.job, 0, 1)
        entry = store.catalog.controls[request.model]
        annotator = store.use_annotator(entry.annotator, partial(report.step, request.job, 0, 1, "loading"))
        painted = [images.opaque(images.read(files, one)) for one in request.painted]
        given = images.fitting(images.read(files, request.image), request.width, request.height)
        seen = controlnet.seen(given, entry, annotator)
        told = entry.annotator if entry.annotator != "none" else "as given"
        captions = ["given", told, *(["painted"] * len(painted))]
        if report.still_wanted([request.job]):
            made_of = recipes.comparison(request, entry, annotator, store.device)
            together = drawing.side_by_side([given, seen, *painted], captions)
            texts = recipes.recipe_text(made_of)
            report.finish(request.job, [Painted(image=together, source="compositeSynthetic", texts=texts)], made_of)
