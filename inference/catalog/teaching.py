"""Where trainings of LoRAs for a model begin: as its family's do, but for what its entry says."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from inference.catalog import ggufs
from inference.catalog.entries import ModelEntry
from inference.families import FAMILIES
from inference.families.training import Training


def of(entry: ModelEntry) -> Training | None:
    """How LoRAs are trained for this model; None where none are."""
    known = FAMILIES[entry.family].training
    # What is kept in blocks is not as it was made.
    if known is None or str(entry.file or entry.place).endswith(ggufs.GGUF):
        return None
    said = {name: value for name, value in msgspec.structs.asdict(entry.training).items() if value is not None}
    return replace(known, **said)
