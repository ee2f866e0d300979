"""Which pictures a safety checker flags, for the bot: other servers have shown or are to be shown them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.pictures import images
from inference.protocol import Answer, Check, Reason, because

REQUEST = Check


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about checking: nothing."""
    return {}


def too_large(request: Check, catalog: Catalog) -> Reason:
    """For whom the memory was full."""
    return because("not_checked")


def run(requests: Sequence[Check], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Look at pictures that are here; each request ends through `report`. Raises as the store does."""
    for request in requests:
        flagged: tuple[bool, ...] = (False,) * len(request.pictures)
        if (name := request.model or store.catalog.checker) is not None:
            network = store.use_checker(name, partial(report.step, request.job, 0, 1, "loading")).network
            flagged = tuple(network.flags(images.read(files, one)) for one in request.pictures)
        if report.still_wanted([request.job]):
            report.finish(request.job, [], {}, Answer(flagged=flagged))
