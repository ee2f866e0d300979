"""Which ControlNets can be followed at once, and which entries share their weights. Nothing is loaded."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.catalog import layouts, weights
from inference.catalog.entries import ControlEntry
from inference.catalog.reading import Catalog
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.families.record import Control


def beside(catalog: Catalog, here: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each of these ControlNets, whose weights are on this machine, those that can be followed at the same time."""
    alike = {name: _alike(catalog, name) for name in here}
    return {
        name: tuple(
            other
            for other in here
            if alike[name] is not None
            and alike[other] == alike[name]
            and {*catalog.controls[other].models} & {*catalog.controls[name].models}
        )
        for name in here
    }


def first_of_weights(catalog: Catalog, name: str) -> str:
    """The first ControlNet of the catalogue that is the same network as this one, whatever each follows by it."""
    wanted = _weights(catalog, catalog.controls[name])
    return next(other for other, entry in catalog.controls.items() if _weights(catalog, entry) == wanted)


def _alike(catalog: Catalog, name: str) -> Hashable | None:
    """Equal for those that one pipeline can follow together; None where it follows but one."""
    entry = catalog.controls[name]
    known = _known(catalog, entry)
    if known.together is None:
        return None
    if known.of_one_network:
        return first_of_weights(catalog, name)
    try:
        place = weights.locate(catalog, "control", name)
        config = {} if place is None else _config(place)
    except WeightsError:
        return None
    return known.pipeline, tuple(str(config.get(field, default)) for field, default in known.alike.items())


def _config(place: Path) -> Mapping[str, Any]:
    return layouts.json_object(place / "config.json")


def _weights(catalog: Catalog, entry: ControlEntry) -> Hashable:
    return entry.path, entry.repo, entry.revision, entry.dtype, _known(catalog, entry).network


def _known(catalog: Catalog, entry: ControlEntry) -> Control:
    return entry.known_by(FAMILIES[catalog.models[entry.models[0]].family])
