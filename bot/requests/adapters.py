"""From what a member typed to the LoRAs and the ControlNet of a request; what does not fit is a MemberError.

What can be chosen comes from the engine's `Ready`. Knows nothing of Discord.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.errors import MemberError
from bot.requests.choices import echo, nearest
from bot.requests.numbers import number, within
from inference.protocol import AddOnInfo, Control, Imagine, Input, Lora, ModelInfo, Ready

LORA_WEIGHT, CONTROL_WEIGHT = 2.0, 2.0
"""The most of each; a LoRA's may be as far below 0."""

TAG = re.compile(r"<lora:([^:<>]+)(?::([^:<>]*))?>")
"""As Stable Diffusion tools write a LoRA into a prompt."""


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
        known = _known(name, ready.loras, model, "LoRA", "lora")
        weight = number(f"The weight of {known.name}", written)
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
            raise MemberError(f"There is no ControlNet for {model.title} here: leave `control_image` out.")
        known = fit[0]
    else:
        known = _known(name, ready.controls, model, "ControlNet", "control_image")
    return Control(known.name, image, known.weight if weight is None else weight)


def check(request: Imagine, model: ModelInfo, ready: Ready) -> None:
    """Raise MemberError where the engine, as it is now, does not have these or cannot put them together."""
    if len(request.loras) > ready.max_loras:
        raise MemberError(f"{len(request.loras)} LoRAs are too many: choose up to {ready.max_loras}.")
    for lora in request.loras:
        _known(lora.name, ready.loras, model, "LoRA", "lora")
        if [other.name for other in request.loras].count(lora.name) > 1:
            raise MemberError(f"The LoRA {lora.name} comes twice: name it once.")
        within(f"The weight of {lora.name}", lora.weight, -LORA_WEIGHT, LORA_WEIGHT)
    if request.control is not None:
        _known(request.control.name, ready.controls, model, "ControlNet", "control_image")
        within("Control weight", request.control.weight, 0, CONTROL_WEIGHT)


def _known(name: str, known: Sequence[AddOnInfo], model: ModelInfo, what: str, option: str) -> AddOnInfo:
    fit = fitting(known, model)
    for one in fit:
        if name.lower() in (one.name.lower(), one.title.lower()):
            return one
    instead = f"choose one of {nearest(name, (one.name for one in fit))}" if fit else f"leave `{option}` out"
    if any(name == one.name for one in known):
        raise MemberError(f"The {what} {name} does not go with {model.title}: {instead}.")
    raise MemberError(f"There is no {what} called {echo(name)} here: {instead}.")
