"""Which models of the catalogue an add-on was made for, by the sizes of its tensors and of the models' own.

Nothing is loaded: a model that is not on this machine is taken for what its family published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inference.catalog import layouts, weights
from inference.catalog.reading import Catalog
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.families.releases import Shapes


def of_lora(shapes: Shapes, catalog: Catalog) -> list[str]:
    """The models that a LoRA of these tensors goes with."""
    return [
        name
        for name, entry in catalog.models.items()
        if (fits := FAMILIES[entry.family].fits_lora) is not None
        and any(fits(shapes, config) for config in _denoisers(name, catalog))
    ]


def of_embedding(shapes: Shapes, catalog: Catalog) -> list[str]:
    """The models whose text encoders are as wide as these vectors, one for each."""
    widths = sorted(shape[-1] for shape in shapes.values())
    return [
        name
        for name, entry in catalog.models.items()
        if FAMILIES[entry.family].words.weighing is not None
        and any(widths == encoders for encoders in _encoder_widths(name, catalog))
    ]


def of_control(called: str, config: Mapping[str, Any], catalog: Catalog) -> list[str]:
    """The models of one family that a ControlNet of this class and configuration goes with."""
    width = config.get("cross_attention_dim")
    models = [
        name
        for name, entry in catalog.models.items()
        if (control := FAMILIES[entry.family].control) is not None
        and control.network == called
        and any(denoiser.get("cross_attention_dim") == width for denoiser in _denoisers(name, catalog))
    ]
    return [name for name in models if catalog.models[name].family == catalog.models[models[0]].family]


def _denoisers(name: str, catalog: Catalog) -> Iterable[dict[str, Any]]:
    component = FAMILIES[catalog.models[name].family].denoiser.component
    for folder in _configurations(name, catalog):
        yield layouts.json_object(folder / component / "config.json")


def _encoder_widths(name: str, catalog: Catalog) -> Iterable[list[int]]:
    for folder in _configurations(name, catalog):
        configs = folder.glob("text_encoder*/config.json")
        yield sorted(layouts.json_object(config).get("hidden_size", 0) for config in configs)


def _configurations(name: str, catalog: Catalog) -> Iterable[Path]:
    """The folder with a model's configurations, or, where it is not on this machine, with those that it may have."""
    try:
        place = weights.locate(catalog, "model", name)
        made = None if place is None else weights.assemble(catalog, name, place)
    except WeightsError:
        made = None
    if made is not None:
        return [made.config]
    return [release.folder for release in FAMILIES[catalog.models[name].family].releases if release.folder]
