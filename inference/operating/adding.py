"""`models add`: an entry for what lies somewhere, with the weights that suit a card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from inference.catalog import adding, headers, looking
from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.models.policy import BUDGET_SHARE
from inference.settings import Settings


def add(
    configured: Settings,
    known: Catalog,
    place: Path,
    name: str | None,
    config: Path | None,
    memory_bytes: int | None,
    quieten: Callable[[], None],
) -> int:
    """Say what lies there and write its entry, and return the exit status."""
    pickled = None
    if place.is_file() and place.suffix in headers.PICKLES:
        # Imported here: torch takes seconds, and only a pickle needs it.
        from inference.models import converting

        pickled = converting.shapes(place)
    found = looking.look(place, known, pickled, config)
    if found.kind == "embedding":
        # It is small, and which tensors are one is known to what reads it.
        from inference.models import vectors

        vectors.read(found.place, found.title)
    found, told = _advised(configured, found, memory_bytes, quieten)
    called = adding.add(configured.models, found, name)
    print(f"{found.place} is {found.words}: it is [{found.kind}s.{called}] in {configured.models} now")
    print(told, end="")
    return 0


def _advised(
    configured: Settings, found: looking.Look, memory_bytes: int | None, quieten: Callable[[], None]
) -> tuple[looking.Look, str]:
    """What was found, with the weights that suit a card of this memory, or the card that is here, and why in a line.

    Where neither is there, as it was.
    """
    if found.assembly is None:
        return found, ""
    # Imported here: torch takes seconds.
    from inference import device

    if memory_bytes is None:
        here = device.choose(configured.device, configured.threads)
        if not here.is_cuda:
            return found, "There is no card here: --memory 8GB chooses weights for one that has so much.\n"
        memory_bytes = here.memory_bytes
    quieten()
    from inference.models import advice

    budget_bytes = configured.vram_budget_bytes or int(memory_bytes * BUDGET_SHARE)
    entry = ModelEntry(title=found.title, path=str(found.place), **found.fields)
    advised = advice.advise(found.assembly, entry, memory_bytes, budget_bytes)
    fields = found.fields if advised.weights == "full" else {**found.fields, "weights": advised.weights}
    return replace(found, fields=fields, remarks=(*found.remarks, advised.why)), f"{advised.why}\n"
