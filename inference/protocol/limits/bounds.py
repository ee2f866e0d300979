"""What depends on no machine: bounds of numbers and texts, and the reasons for names that nobody has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from inference.protocol.add_ons import AddOnInfo
from inference.protocol.events import ModelInfo, Ready, ToolInfo
from inference.protocol.reasons import Reason, because

ToolKind = Literal["upscaler", "restorer", "describer", "classifier"]
AddOnKind = Literal["lora", "control"]

LEAST_STRENGTH = 0.05
"""Of a picture that is painted from another, and of a second pass: less would change nothing that can be seen."""

MAX_LORA_WEIGHT, MAX_CONTROL_WEIGHT = 2.0, 2.0
"""A LoRA's may be as far below 0."""

MAX_REFERENCE_PROPORTION = 8
"""Of a picture that is seen beside words: its longer side to its shorter one."""
MAX_CLIP_SKIP = 12
"""As many layers as the smallest text encoder has."""

MAX_STEPS = 1000
"""Of any model."""

MAX_COUNT = 4
"""Pictures of one job."""

MAX_PROMPT_CHARS = 4000
"""With the words of its style: as many as Discord's form holds, in which it is edited."""

MAX_VARIATIONS = 16
"""Of variations: each draws one more noise."""

MAX_NETWORK_PIXELS = 300_000_000
"""Of an upscaler's own result, before it is brought to the factor that was asked for."""

MAX_LABELS = 50
MAX_LABEL_CHARS = 100
MAX_TEMPLATES = 8
MAX_TEMPLATE_CHARS = 100
"""Of what a classifier is given: labels, and sentences in which they are put before it."""

MAX_HEADING_CHARS = 200
"""Of what is written beside a row or a column of a grid."""

MIN_SIDE, MAX_SIDE = 8, 8192
"""Of a picture that was painted."""

UNAVAILABLE = frozenset(
    {
        "away",
        "no_model",
        "no_weights",
        "no_upscaler",
        "no_upscalers",
        "no_restorer",
        "no_restorers",
        "no_describer",
        "no_describers",
        "no_classifier",
        "no_classifiers",
        "no_lora",
        "no_loras",
        "no_control",
        "no_controls",
        "no_refiner",
    }
)
"""Reasons that lie in what is on the machine, and in nothing else of the request."""


def unknown_model(name: str, ready: Ready) -> Reason:
    """Why this model cannot be chosen, which is none of `ready.models`."""
    if name in ready.elsewhere:
        return because("away", typed=name)
    if name in ready.missing:
        return because("no_weights", typed=name)
    return because("no_model", typed=name, choices=tuple(model.name for model in ready.models))


def unknown_tool(kind: ToolKind, name: str, tools: Sequence[ToolInfo]) -> Reason:
    """The same of a tool of this kind, of which there are these."""
    if not tools:
        return because(f"no_{kind}s")
    return because(f"no_{kind}", typed=name, choices=tuple(tool.name for tool in tools))


def unknown_add_on(kind: AddOnKind, name: str, known: Sequence[AddOnInfo], model: ModelInfo) -> Reason:
    """The same of a LoRA or ControlNet beside this model, where there are these for all models."""
    if any(name == one.name for one in known):
        return because(f"{kind}_of_others", typed=name, model=model.title)
    choices = tuple(one.name for one in known if model.name in one.models)
    if not choices:
        return because(f"no_{kind}s", model=model.title)
    return because(f"no_{kind}", typed=name, choices=choices)


def outside(name: str, value: float, least: float, most: float) -> Iterator[Reason]:
    """The reason of this name where a value is not within its bounds."""
    # So that what is no number is outside too.
    if not least <= value <= most:
        yield because(name, value=value, least=least, most=most)


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return not any(letter.isprintable() and not letter.isspace() for letter in text)
