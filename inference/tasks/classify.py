"""Which of some labels fits a picture how well, said by CLIP."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from inference import recipes
from inference.catalog.entries import MAX_LABEL_CHARS, MAX_LABELS, Kind
from inference.catalog.reading import Catalog
from inference.errors import InvalidInput, UnavailableModel
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.pictures import drawing, images
from inference.protocol import Answer, Classify, LabelShare

REQUEST = Classify
MAX_TEMPLATES = 8
MAX_TEMPLATE_CHARS = 100
MAX_LISTED = 5
"""More labels than these are shown as a chart."""


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]]) -> dict[str, Any]:
    """What `protocol.Ready` says about classifying."""
    return {
        "classifiers": tuple(catalog.tool_info("classifier", name) for name in here["classifier"]),
        "label_sets": catalog.label_sets,
        "max_labels": MAX_LABELS,
    }


def check(request: Classify, catalog: Catalog) -> None:
    """Raise InvalidInput or UnavailableModel, in a sentence for the member, where this cannot be classified."""
    if request.model not in catalog.classifiers:
        raise UnavailableModel(f"There is no classifier called {request.model}.")
    if len(request.labels) < 2:
        raise InvalidInput("Give at least two labels: a label is measured against the others.")
    if len(request.labels) > MAX_LABELS:
        raise InvalidInput(f"At most {MAX_LABELS} labels are compared, not {len(request.labels)}.")
    for label in request.labels:
        if not label.strip():
            raise InvalidInput("A label is empty.")
        if len(label) > MAX_LABEL_CHARS:
            raise InvalidInput(f"A label has {len(label)} characters; at most {MAX_LABEL_CHARS} are read.")
    if len(set(request.labels)) < len(request.labels):
        raise InvalidInput("A label comes twice; give each once.")
    if not 1 <= len(request.templates) <= MAX_TEMPLATES:
        raise InvalidInput(f"Give 1 to {MAX_TEMPLATES} templates, not {len(request.templates)}.")
    for template in request.templates:
        if "{}" not in template:
            raise InvalidInput(f"The template “{template[:MAX_TEMPLATE_CHARS]}” has no {{}} in the label's place.")
        if len(template) > MAX_TEMPLATE_CHARS:
            raise InvalidInput(f"A template has {len(template)} characters; at most {MAX_TEMPLATE_CHARS} are read.")


def too_large(request: Classify, catalog: Catalog) -> str:
    """A sentence for whom the memory was full; the size of the picture makes no difference."""
    title = catalog.classifiers[request.model].title
    return f"The device's memory is full: {title} does not run now; try again later."


def run(requests: Sequence[Classify], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Classify for requests that have been checked and begun; each ends through `report`."""
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
