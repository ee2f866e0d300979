"""FLUX.1 Fill: FLUX.1 dev trained to fill a masked part of a picture, which it sees with the mask."""

from __future__ import annotations

from dataclasses import replace

from inference.families import flux

FAMILY = replace(
    flux.FAMILY,
    name="flux-fill",
    pipeline="FluxFillPipeline",
    control=None,
    training=None,
    releases=(),
    fills=True,
)
