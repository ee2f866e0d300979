"""Which checker looks at what: the catalogue's, a model's own, or none; and what of its speed an entry may ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from inference.catalog.entries import ModelEntry
from inference.catalog.fields import NO_CHECKER, WHOLE_STEPS
from inference.errors import CatalogError
from inference.families.record import Denoiser


def usual(path: Path, document: Mapping[str, Any], checkers: Collection[str]) -> str | None:
    """The name of the catalogue's checker, or None. Raises CatalogError where that is none of these."""
    named: str | None = document.get("checker")
    if NO_CHECKER in checkers:
        raise CatalogError(f"{path}: checkers.{NO_CHECKER}: this name stands for no checker, choose another one")
    if named is not None and named not in checkers:
        raise CatalogError(f"{path}: checker: must name one of the [checkers.NAME], not {named!r}")
    return named


def resolved(models: Mapping[str, ModelEntry], usual: str | None) -> dict[str, ModelEntry]:
    """The models, each with the checker that looks at what it paints."""
    own = {name: usual if model.checker is None else model.checker for name, model in models.items()}
    return {
        name: replace(model, checker=None if own[name] == NO_CHECKER else own[name]) for name, model in models.items()
    }


def speed(where: str, entry: ModelEntry, denoiser: Denoiser) -> None:
    """What diffusers cannot do for a family is told at the start, not at the first picture."""
    if entry.channels_last and not denoiser.channels_last:
        raise CatalogError(f"{where}: channels_last: the {entry.family} family has no convolutions that gain from it")
    if entry.attention == "sliced" and not denoiser.sliced_attention:
        raise CatalogError(f"{where}: attention: attention cannot be sliced in the {entry.family} family")
    if entry.attention == "flash" and (denoiser.masked_attention or not denoiser.attention_backends):
        raise CatalogError(
            f"{where}: attention: the {entry.family} family takes no other kernels; sdpa uses torch's own flash ones"
        )
    if entry.weights == "nf4" and entry.offload == "group":
        raise CatalogError(f"{where}: offload: layers of nf4 weights cannot come and go, whole parts can: 'model'")
    if entry.compile and not denoiser.compiles:
        raise CatalogError(f"{where}: compile: diffusers names no repeated blocks in the {entry.family} family")
    if entry.speed == "draft" and entry.steps < WHOLE_STEPS + 2:
        raise CatalogError(
            f"{where}: speed: a draft leaves out none of {entry.steps} steps: it takes {WHOLE_STEPS + 2}"
        )
