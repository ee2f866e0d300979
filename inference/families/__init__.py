"""Families of picture models: a file and a line each. All that one knows of a family stands in its record.

Importing this imports neither torch nor diffusers.
"""

from __future__ import annotations

from inference.families import (
    chroma,
    flux,
    flux2,
    flux_fill,
    kontext,
    qwen,
    qwen_edit,
    sana,
    sd1,
    sd2,
    sd3,
    sdxl,
    zimage,
)
from inference.families.record import Family

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (
        sd1,
        sd2,
        sdxl,
        sd3,
        flux,
        flux_fill,
        chroma,
        zimage,
        flux2,
        kontext,
        qwen,
        qwen_edit,
        sana,
    )
}
"""By the names that models.toml calls them by."""
