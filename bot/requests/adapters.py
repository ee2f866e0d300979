"""From what a member typed to the LoRAs and the ControlNet of a request; what does not fit is a MemberError.

What can be chosen comes from the engine's `Ready`. Knows nothing of Discord.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.errors import MemberError
from bot.requests import lists
from inference.protocol import AddOnInfo, Control, Input, Lora, ModelInfo, Ready, Tag, limits, read_tag


def fitting(known: Sequence[AddOnInfo], model: ModelInfo | None) -> list[AddOnInfo]:
    """Those that go with this model."""
    return [one for one in known if model is not None and model.name in one.models]


def named(option: str | None) -> list[Tag]:
    """What an option says of LoRAs: `name` or `name:weight`, with commas between."""
    return [read_tag(part) for part in lists.split(option or "") if part]


def loras(tags: Sequence[Tag], model: ModelInfo, ready: Ready) -> tuple[Lora, ...]:
    """The LoRAs that are asked for, in their order."""
    chosen = []
    for tag in tags:
        known = _known(tag.name, ready.loras, model, "lora")
        if tag.problem is not None:
            raise MemberError.of(tag.problem)
        chosen.append(Lora(known.name, known.weight if tag.weight is None else tag.weight, tag.words))
    return tuple(chosen)


def wishes(tags: Sequence[Tag], model: ModelInfo, ready: Ready) -> AddOnInfo | None:
    """The first of these LoRAs that needs other steps than the model's own, and works."""
    for tag in tags:
        for one in fitting(ready.loras, model):
            if one.is_called(tag.name) and tag.weight != 0 and (one.sampler or one.steps or one.guidance is not None):
                return one
    return None


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
        if one.is_called(name):
            return one
    raise MemberError.of(limits.unknown_add_on(kind, name, known, model))
