"""How much memory of a card a picture model needs, and how one would keep it: from headers where its weights are here,
else from what the catalogue says of their sizes. Nothing here imports torch unless weights are made smaller.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from inference.catalog import weights
from inference.catalog.assembly import Assembly
from inference.catalog.entries import ModelEntry
from inference.catalog.fields import Offload
from inference.catalog.reading import Catalog
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.models import policy as policies
from inference.models.policy import BUDGET_SHARE, RESERVED_BYTES, Needs, Policy

WORDS: dict[Offload, str] = {"none": "whole", "model": "in parts", "group": "by layers"}
"""How a card keeps a model: all of it, each part while it works, each layer while it works."""


@dataclass(frozen=True)
class Card:
    """What a card has, and what of it weights may take."""

    memory_bytes: int
    budget_bytes: int


def of_model(catalog: Catalog, name: str) -> Needs | None:
    """What it needs; None where nothing tells."""
    entry = catalog.models[name]
    try:
        place = weights.locate(catalog, "model", name)
        if place is not None:
            return _measured(weights.assemble(catalog, name, place), entry)
    except WeightsError:
        pass
    if not entry.sizes:
        return None
    parts = {part: int(gigabytes * 1e9 * _number_bytes(entry) / 2) for part, gigabytes in entry.sizes.items()}
    return _needs(entry, parts)


def smallest_cards(entry: ModelEntry, needed: Needs) -> Iterator[int | None]:
    """For each way to keep it, the memory of the smallest card that can, in bytes; None where the entry forbids it."""
    ways = policies.offloads(entry.weights) if entry.offload is None else (entry.offload,)
    tilings = (False, True) if entry.vae_tiling is None else (entry.vae_tiling,)
    for way in WORDS:
        kept = [Policy(offload=way, vae_tiling=tiling) for tiling in tilings]
        least = [max(needed.peak(one) + RESERVED_BYTES, one.device_bytes(needed.parts) / BUDGET_SHARE) for one in kept]
        yield math.ceil(min(least)) if way in ways else None


def verdict(entry: ModelEntry, needed: Needs, card: Card) -> str:
    """How this card would keep it, or that it cannot."""
    policy = policies.choose(entry, needed, card.budget_bytes, card.memory_bytes)
    fits = policies.fits(policy, needed, card.budget_bytes, card.memory_bytes)
    return WORDS[policy.offload] if fits else "too small"


def _measured(assembly: Assembly, entry: ModelEntry) -> Needs:
    if entry.weights == "full":
        return _needs(entry, {name: part.held_bytes(_number_bytes(entry)) for name, part in assembly.parts.items()})
    # Imported here: torch takes seconds, and only smaller weights need it.
    import torch

    from inference.device import Device
    from inference.models import placement

    return placement.measure(assembly, entry, Device(where=torch.device("cuda"), name="a card", memory_bytes=0))


def _needs(entry: ModelEntry, parts: dict[str, int]) -> Needs:
    number_bytes = _number_bytes(entry)
    upcast = FAMILIES[entry.family].latents.upcast
    return policies.needs(entry, parts, number_bytes, 4 if upcast else number_bytes)


def _number_bytes(entry: ModelEntry) -> int:
    return 4 if entry.dtype == "float32" else 2
