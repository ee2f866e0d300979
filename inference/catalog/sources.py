"""What the fields of a model's entry say together of its weights: where they come from, and what they are.

How it is painted with is checked by `reading`.
"""

from __future__ import annotations

from collections.abc import Mapping

from inference.catalog.entries import ModelEntry
from inference.catalog.ggufs import GGUF
from inference.catalog.headers import SAFETENSORS
from inference.errors import CatalogError
from inference.families import FAMILIES
from inference.families.record import Family
from inference.families.samplers import DIFFUSION


def check(where: str, entry: ModelEntry, models: Mapping[str, ModelEntry]) -> None:
    """Raise CatalogError, which begins with `where`, if one of these models cannot come from where its entry says."""
    if (entry.place is None) == (entry.repo is None):
        raise CatalogError(
            f"{where}: path: give either a folder or a file as path, or a url to fetch one file from, or a hub"
            " repository as repo"
        )
    if entry.file is not None and entry.repo is None:
        raise CatalogError(f"{where}: file: is the name of a file of a repo: write path for one of this machine")
    one_file = entry.file or entry.place
    for field in ("url", "file", "sha256"):
        if getattr(entry, field) is not None and not str(one_file).endswith((SAFETENSORS, GGUF)):
            raise CatalogError(f"{where}: {field}: one file of a model is a {SAFETENSORS} or {GGUF} file")
    if str(one_file).endswith(GGUF) and entry.weights != "full":
        raise CatalogError(f"{where}: weights: those of a {GGUF} file are used as they lie there: leave weights out")
    if "vae" in entry.parts:
        raise CatalogError(f"{where}: parts: write vae beside it, and not in it")
    # A base that there is not is told with its other partners.
    base = None if entry.base is None else models.get(entry.base)
    if base is not None and (base is entry or base.base or base.url or base.file):
        raise CatalogError(f"{where}: base: must be a model whose weights are a folder of their own")
    if entry.family in FAMILIES:
        _check_noise(where, entry, FAMILIES[entry.family])


def _check_noise(where: str, entry: ModelEntry, family: Family) -> None:
    if entry.guidance_rescale is not None and not family.guidance_rescale:
        raise CatalogError(f"{where}: guidance_rescale: pipelines of the {family.name} family take none")
    for field in ("prediction", "zero_snr"):
        if getattr(entry, field) is not None and not any(name in DIFFUSION for name in family.samplers):
            raise CatalogError(f"{where}: {field}: the {family.name} family knows no other than its own")
