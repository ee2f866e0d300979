"""Which weights a model should have on a card of so much memory, for who adds it: a choice between a picture's
likeness to that of full weights and the time that it takes. How it is kept with them is for `policy` to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from msgspec.structs import replace

from inference.catalog import ggufs
from inference.catalog.assembly import Assembly
from inference.catalog.entries import ModelEntry
from inference.catalog.fields import Precision
from inference.device import Device
from inference.models import placement
from inference.models.policy import Policy, fits

FORMS: tuple[Precision, ...] = ("full", "8bit", "int4")
"""From what is most like a model to what is smallest. `make similarity` found fp8 no smaller than 8bit, and less like
the model."""


@dataclass(frozen=True)
class Advice:
    """What the entry of a model should say."""

    weights: Precision
    why: str
    """In one line, for the operator."""


@dataclass(frozen=True)
class _Choice:
    """How the card would keep a model with such weights."""

    weights: Precision
    policy: Policy
    total_bytes: int
    fits: bool

    @property
    def by_layers(self) -> bool:
        """Whether all of it would have to come and go at every step."""
        return self.policy.offload == "group"

    def __str__(self) -> str:
        return f"{self.weights} weights ({_gigabytes(self.total_bytes)})"


def advise(assembly: Assembly, entry: ModelEntry, memory_bytes: int, budget_bytes: int) -> Advice:
    """The weights most like the model's own with which no layers have to come and go at every step.

    Where there are none, the smallest, of which least has to. `memory_bytes` is what the card has, `budget_bytes` what
    of it weights may take.
    """
    card = Device(where=torch.device("cuda"), name="a card", memory_bytes=memory_bytes)
    # Blocks of a GGUF file stay what they are.
    forms = FORMS[:1] if assembly.place.suffix == ggufs.GGUF else FORMS
    choices = [_choice(assembly, replace(entry, weights=form), card, budget_bytes) for form in forms]
    here = [one for one in choices if _library(one.weights) is None]
    chosen = next((one for one in here if not one.by_layers), here[-1])
    return Advice(chosen.weights, _why(chosen, choices, memory_bytes))


def _choice(assembly: Assembly, entry: ModelEntry, card: Device, budget_bytes: int) -> _Choice:
    needed = placement.measure(assembly, entry, card)
    policy = placement.choose(assembly, entry, card, budget_bytes)
    return _Choice(
        entry.weights, policy, sum(needed.parts.values()), fits(policy, needed, budget_bytes, card.memory_bytes)
    )


def _why(chosen: _Choice, choices: list[_Choice], memory_bytes: int) -> str:
    how = {"none": "stay whole", "model": "come and go part by part", "group": "come and go layer by layer"}
    kept, full = f"its {chosen} {how[chosen.policy.offload]}", choices[0]
    said = f"On a card with {_gigabytes(memory_bytes)} "
    said += kept if chosen is full else f"its {full} would come and go layer by layer: {kept}"
    if not chosen.fits:
        said += ", and may run out of memory all the same"
    better = next((one for one in choices if not one.by_layers), choices[-1])
    if (library := _library(better.weights)) is not None:
        extra = placement.EXTRAS[library]
        said += f" (pip install -c constraints.txt {extra!r}, and weights can be {better.weights!r})"
    return f"{said}."


def _library(weights: Precision) -> str | None:
    """What such weights need and is not installed."""
    library = placement.LIBRARIES.get(weights)
    return library if library is not None and find_spec(library) is None else None


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"
