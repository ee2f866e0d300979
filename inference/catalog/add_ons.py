"""Whether what models.toml says of LoRAs, ControlNets, embeddings and annotators can be done."""

from __future__ import annotations

from collections.abc import Mapping

from inference.catalog.entries import AddOnEntry, AnnotatorEntry, ControlEntry, EmbeddingEntry, LoraEntry, ModelEntry
from inference.catalog.fields import BUILT_IN_ANNOTATORS
from inference.errors import CatalogError
from inference.families import FAMILIES


def check(where: str, entry: AddOnEntry, models: Mapping[str, ModelEntry]) -> None:
    """Raise CatalogError, which begins with `where`, for what these models could not do with an add-on."""
    for name in entry.models:
        if name not in models:
            raise CatalogError(f"{where}: models: there is no [models.{name}]")
    if isinstance(entry, ControlEntry):
        families = sorted({models[name].family for name in entry.models})
        if len(families) > 1:
            raise CatalogError(f"{where}: models: a ControlNet is of one family, these are of {', '.join(families)}")
        control = FAMILIES[families[0]].control
        if control is None:
            raise CatalogError(f"{where}: models: no ControlNet can be used with the {families[0]} family")
        if entry.mode is not None and control.union is None:
            raise CatalogError(f"{where}: mode: the {families[0]} family has no ControlNets of several kinds")
    if isinstance(entry, LoraEntry) and not entry.place.endswith(".safetensors"):
        raise CatalogError(f"{where}: path: a LoRA is a .safetensors file")
    if isinstance(entry, LoraEntry):
        _check_wishes(where, entry, models)
    if isinstance(entry, EmbeddingEntry):
        if not entry.place.endswith((".safetensors", ".pt", ".bin")):
            raise CatalogError(f"{where}: path: an embedding is a .safetensors, .pt or .bin file")
        for family in {models[name].family for name in entry.models}:
            if FAMILIES[family].words.weighing is None:
                raise CatalogError(f"{where}: models: the {family} family reads no embeddings")


def _check_wishes(where: str, entry: LoraEntry, models: Mapping[str, ModelEntry]) -> None:
    """What a LoRA needs must be what each of its models can do."""
    for name in entry.models:
        model = models[name]
        if entry.sampler is not None and entry.sampler not in model.admitted_samplers():
            raise CatalogError(
                f"{where}: sampler: {entry.sampler!r} is none of models.{name}: {', '.join(model.admitted_samplers())}"
            )
        for field in ("steps", "guidance"):
            wished, most = getattr(entry, field), getattr(model, f"max_{field}")
            if wished is not None and wished > most:
                raise CatalogError(f"{where}: {field}: {wished:g} is over max_{field} ({most:g}) of models.{name}")


def check_annotator(where: str, name: str, entry: AnnotatorEntry) -> None:
    """The same of an annotator."""
    if name in BUILT_IN_ANNOTATORS:
        raise CatalogError(f"{where}: {name} is built in: call it otherwise")
    if entry.dtype not in ("auto", "float32"):
        raise CatalogError(f"{where}: dtype: annotators compute in float32: leave it out")
