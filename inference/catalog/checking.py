"""Which checker looks at what: the catalogue's, a model's own, or none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from inference.catalog.entries import ModelEntry
from inference.catalog.fields import NO_CHECKER
from inference.catalog.remotes import RemoteEntry
from inference.errors import CatalogError


def usual(path: Path, document: Mapping[str, Any], checkers: Collection[str]) -> str | None:
    """The name of the catalogue's checker, or None. Raises CatalogError where that is none of these."""
    named: str | None = document.get("checker")
    if NO_CHECKER in checkers:
        raise CatalogError(f"{path}: checkers.{NO_CHECKER}: this name stands for no checker, choose another one")
    if named is not None and named not in checkers:
        raise CatalogError(f"{path}: checker: must name one of the [checkers.NAME], not {named!r}")
    return named


def of_remotes(
    path: Path, remotes: Mapping[str, RemoteEntry], usual: str | None, checkers: Collection[str]
) -> dict[str, RemoteEntry]:
    """The models of other servers, likewise. Raises CatalogError where one names none of these."""
    found = {}
    for name, entry in remotes.items():
        own = usual if entry.checker is None else entry.checker
        if own not in (None, NO_CHECKER, *checkers):
            raise CatalogError(f"{path}: models.{name}: checker: must name one of the [checkers.NAME], not {own!r}")
        found[name] = replace(entry, checker=None if own == NO_CHECKER else own)
    return found


def resolved(models: Mapping[str, ModelEntry], usual: str | None) -> dict[str, ModelEntry]:
    """The models, each with the checker that looks at what it paints."""
    own = {name: usual if model.checker is None else model.checker for name, model in models.items()}
    return {
        name: replace(model, checker=None if own[name] == NO_CHECKER else own[name]) for name, model in models.items()
    }
