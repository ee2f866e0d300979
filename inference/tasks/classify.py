"""Which of some labels fits a picture how well, said by CLIP."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.pictures import drawing, images
from inference.protocol import Answer, Classify, LabelShare, Reason, because, limits

REQUEST = Classify
MAX_LISTED = 5
"""More labels than these are shown as a chart."""


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about classifying."""
    return {
        "classifiers": tuple(catalog.tool_info("classifier", name) for name in here["classifier"]),
        "label_sets": catalog.label_sets,
        "max_labels": limits.MAX_LABELS,
    }


def too_large(request: Classify, catalog: Catalog) -> Reason:
    """For whom the memory was full; the size of the picture makes no difference."""
    return because("memory_for_tool", model=catalog.classifiers[request.model].title)


def run(requests: Sequence[Classify], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Classify for requests that may be run and have begun; each ends through `report`."""
    for request in requests:
        picture = images.read(files, request.image)
        classifier = store.use_classifier(request.model, functools.partial(report.step, request.job, 0, 1, "loading"))
        report.step(request.job, 0, 1)
        shares = classifier.network.shares(picture, request.labels, request.templates)
        best = sorted(map(LabelShare, request.labels, shares), key=lambda each: -each.share)
        if report.still_wanted([request.job]):
            made_of = recipes.reading(request, classifier, store.device)
            chart = []
            if len(best) > MAX_LISTED:
                chart = [
                    Painted(image=drawing.bars(best), source="dataDrivenMedia", texts=recipes.recipe_text(made_of))
                ]
            report.finish(request.job, chart, made_of, Answer(labels=tuple(best)))
