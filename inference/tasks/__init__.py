"""One module per capability, named as its command is. They never import each other, and nobody lists them.

Each has

- `REQUEST`, the struct of the protocol that it answers;
- `run(requests, files, store, report)`, which gets requests of one `pass_key` that have begun, sound by
  `protocol.limits`, and the bytes of their inputs by SHA-256, which are there and right; it ends each through `report`,
  or raises a TaskError for all of them. Between two steps of longer work it asks `report.still_wanted` and calls
  `report.give_way`;
- `too_large(request, catalog)`, the reason for who asked for more than the memory holds;
- `abilities(catalog, here, device)`, the fields of `protocol.Ready` that it knows, where `here` says what can be used
  on this machine (`weights.inventory`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.protocol import Reason, Work


class Task(Protocol):
    """A module of this package; see its docstring."""

    REQUEST: type[Any]

    def run(self, requests: Sequence[Any], files: Mapping[str, bytes], store: Store, report: Reporter) -> None: ...
    def too_large(self, request: Any, catalog: Catalog) -> Reason: ...
    def abilities(self, catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]: ...


def discover() -> dict[type[Work], Task]:
    """Every task of this package, by the request that it answers."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found: list[Any] = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {task.REQUEST: task for task in found}
