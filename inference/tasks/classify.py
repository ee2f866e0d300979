"""Which of some labels fits a picture how well, said by CLIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange import looking
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.pictures import drawing
from inference.protocol import Answer, Classify, LabelShare, Reason, because, limits

REQUEST = Classify
MAX_LISTED = 5
"""More labels than these are shown as a chart."""


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about classifying."""
    return {
        "classifiers": tuple(catalog.tool_info("classifier", name, device.is_cuda) for name in here["classifier"]),
        "label_sets": catalog.label_sets,
        "max_labels": limits.MAX_LABELS,
    }


def too_large(request: Classify, catalog: Catalog) -> Reason:
    """For whom the memory was full; the size of the picture makes no difference."""
    return because("memory_for_tool", model=catalog.classifiers[request.model].title)


def run(requests: Sequence[Classify], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Classify for requests of one model that may be run and have begun, and for those that board meanwhile; each ends
    through `report`."""

    def loading() -> None:
        for request in requests:
            report.step(request.job, 0, 1, "loading")

    classifier = store.use_classifier(requests[0].model, loading)
    network = classifier.network
    for seen in looking.in_passes(requests, files, network.batch, report):
        looks = network.looks([picture for _, picture, _ in seen])
        for (request, _, _), look in zip(seen, looks, strict=True):
            shares = network.fit(look, request.labels, request.templates)
            best = sorted(map(LabelShare, request.labels, shares), key=lambda each: -each.share)
            if report.still_wanted([request.job]):
                made_of = recipes.reading(request, classifier, store.device)
                report.finish(request.job, _chart(best, made_of), made_of, Answer(labels=tuple(best)))


def _chart(best: Sequence[LabelShare], made_of: dict[str, Any]) -> list[Painted]:
    if len(best) <= MAX_LISTED:
        return []
    return [Painted(image=drawing.bars(best), source="dataDrivenMedia", texts=recipes.recipe_text(made_of))]
