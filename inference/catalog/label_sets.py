"""Ready-made labels for /classify, as models.toml has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.catalog import tables
from inference.catalog.fields import Labels
from inference.errors import CatalogError


def load(path: Path, document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The sets of this document by their names. Raises CatalogError with one line that names what is wrong."""
    section = document.get("label_sets", {})
    if not isinstance(section, dict):
        raise CatalogError(f"{path}: label_sets: must be one table of lists of labels")
    sets: dict[str, tuple[str, ...]] = {}
    for name, labels in section.items():
        where = f"{path}: label_sets.{name}"
        if not 1 <= len(name) <= 64:
            raise CatalogError(f"{where}: a name is 1 to 64 characters long")
        sets[name] = tables.convert(where, labels, Labels)
        if len(set(sets[name])) < len(sets[name]):
            raise CatalogError(f"{where}: a label comes twice")
    return sets
