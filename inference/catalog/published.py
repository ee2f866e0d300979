"""For which families a LoRA was made, by the sizes of the models that those published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from inference.catalog import headers, layouts
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.families.record import Family
from inference.families.releases import Shapes


def check_family(file: Path, families: Iterable[str]) -> None:
    """Raise WeightsError where a LoRA was surely made for another family than one of these, as that was published."""
    shapes = headers.tensors(file)
    made_for = [family.name for family in FAMILIES.values() if _made_for(family, shapes)]
    for name in families:
        # Where no configuration of a family comes with Easel, nothing tells a LoRA.
        if made_for and name not in made_for and any(release.folder for release in FAMILIES[name].releases):
            raise WeightsError(f"{file} was made for models of {' or '.join(made_for)}, and not of {name}")


def _made_for(family: Family, shapes: Shapes) -> bool:
    fits = family.fits_lora
    return fits is not None and any(
        fits(shapes, _published(release.folder / family.denoiser.component / "config.json"))
        for release in family.releases
        if release.folder is not None
    )


@cache
def _published(config: Path) -> Mapping[str, Any]:
    """A configuration that comes with Easel. LoRAs are looked at whenever they are used."""
    return layouts.json_object(config)
