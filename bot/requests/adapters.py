"""From what a member typed to the LoRAs and the ControlNets of a request; what does not fit is a MemberError.

What can be chosen comes from the engine's `Ready`. Knows nothing of Discord.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.errors import MemberError
from bot.requests import lists
from inference.protocol import (
    AddOnInfo,
    Control,
    Input,
    Lora,
    ModelInfo,
    OwnLora,
    Ready,
    Tag,
    limits,
    read_tag,
    without_tags,
)


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


def own(loras: Sequence[Lora], words: str, ready: Ready) -> tuple[OwnLora, ...]:
    """What those of these LoRAs mean that members have trained, and those that are left in words to be drawn."""
    named, drawn = {lora.name for lora in loras}, without_tags(words)[1]
    return tuple(
        one.own
        for one in ready.loras
        if one.own is not None and (one.name in named or any(one.is_called(tag.name) for tag in drawn))
    )


def wishes(tags: Sequence[Tag], model: ModelInfo, ready: Ready) -> AddOnInfo | None:
    """The first of these LoRAs that needs other steps than the model's own, and works."""
    for tag in tags:
        for one in fitting(ready.loras, model):
            if one.is_called(tag.name) and tag.weight != 0 and (one.sampler or one.steps or one.guidance is not None):
                return one
    return None


MAX_CONTROLS = 2
"""How many pictures are followed at once: so many fields a request has for them."""


def controls(
    images: Sequence[Input], option: str | None, weight: float | None, model: ModelInfo, ready: Ready
) -> tuple[Control, ...]:
    """How to follow these pictures: the first by the first ControlNet that is named, and so on. Where one is named all
    are followed by that, and one picture is followed by all that are named; without a name by the first ControlNet that
    goes with the model. `weight` is for who names none beside the name.
    """
    if not images:
        if option is not None or weight is not None:
            raise MemberError("Control says how to follow a picture: give one as `control_image`, or leave it out.")
        return ()
    tags = [] if option is None else named_controls(option, fitting(ready.controls, model))
    if len(tags) > MAX_CONTROLS:
        raise MemberError("{count} ControlNets are too many: name up to {most}.", count=len(tags), most=MAX_CONTROLS)
    if not tags:
        fit = fitting(ready.controls, model)
        if not fit:
            raise MemberError.of(limits.unknown_add_on("control", "", (), model))
        tags = [Tag(fit[0].name)]
    count = max(len(images), len(tags))
    pictures, tags = ([*each, *each[-1:] * (count - len(each))] for each in ([*images], tags))
    return tuple(_control(tag, image, weight, model, ready) for tag, image in zip(tags, pictures, strict=True))


def named_controls(option: str, known: Sequence[AddOnInfo]) -> list[Tag]:
    """What an option says of ControlNets, as `named` reads it; or one by its title, whatever signs that has in it."""
    return [Tag(option)] if any(one.is_called(option) for one in known) else named(option)


def _control(tag: Tag, image: Input, weight: float | None, model: ModelInfo, ready: Ready) -> Control:
    known = _known(tag.name, ready.controls, model, "control")
    if tag.problem is not None or tag.words is not None:
        raise MemberError("Write a ControlNet as {control}, or with its weight as {control}:0.8.", control=known.name)
    own = weight if tag.weight is None else tag.weight
    return Control(known.name, image, known.weight if own is None else own)


def _known(name: str, known: Sequence[AddOnInfo], model: ModelInfo, kind: limits.AddOnKind) -> AddOnInfo:
    for one in fitting(known, model):
        if one.is_called(name):
            return one
    raise MemberError.of(limits.unknown_add_on(kind, name, known, model))
