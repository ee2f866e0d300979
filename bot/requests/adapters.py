"""From what a member typed to the LoRAs and the ControlNet of a request; what does not fit is a MemberError.

What can be chosen comes from the engine's `Ready`. Knows nothing of Discord.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.errors import MemberError
from bot.requests.numbers import number
from bot.words import N_
from inference.protocol import AddOnInfo, Control, Input, Lora, ModelInfo, Ready, limits

TAG = re.compile(r"<lora:([^:<>]+)(?::([^:<>]*))?>")
"""As Stable Diffusion tools write a LoRA into a prompt."""

NO_WEIGHT = N_("The weight of {lora} {typed} is not a number: write one like 0.6.")


def fitting(known: Sequence[AddOnInfo], model: ModelInfo | None) -> list[AddOnInfo]:
    """Those that go with this model."""
    return [one for one in known if model is not None and model.name in one.models]


def without_tags(prompt: str) -> tuple[str, list[str]]:
    """The prompt without its `<lora:name:weight>`, and what they say as `name:weight`."""
    said = [f"{match[1]}:{match[2]}" if match[2] else match[1] for match in TAG.finditer(prompt)]
    return re.sub(r"\s{2,}", " ", TAG.sub("", prompt)) if said else prompt, said


def loras(texts: Sequence[str], model: ModelInfo, ready: Ready) -> tuple[Lora, ...]:
    """The LoRAs named as `name` or `name:weight`, in their order."""
    chosen = []
    for text in texts:
        name, _, written = (part.strip() for part in text.partition(":"))
        known = _known(name, ready.loras, model, "lora")
        weight = number(written, NO_WEIGHT, lora=known.name)
        chosen.append(Lora(known.name, known.weight if weight is None else weight))
    return tuple(chosen)


def control(
    image: Input | None, name: str | None, weight: float | None, model: ModelInfo, ready: Ready
) -> Control | None:
    """How to follow the picture: as named, or by the first ControlNet that goes with the model."""
    if image is None:
        if name is not None or weight is not None:
            raise MemberError("Control says how to follow a picture: give one as `control_image`, or leave it out.")
        return None
    if name is None:
        fit = fitting(ready.controls, model)
        if not fit:
            raise MemberError.of(limits.unknown_add_on("control", "", (), model))
        known = fit[0]
    else:
        known = _known(name, ready.controls, model, "control")
    return Control(known.name, image, known.weight if weight is None else weight)


def _known(name: str, known: Sequence[AddOnInfo], model: ModelInfo, kind: limits.AddOnKind) -> AddOnInfo:
    for one in fitting(known, model):
        if name.lower() in (one.name.lower(), one.title.lower()):
            return one
    raise MemberError.of(limits.unknown_add_on(kind, name, known, model))
