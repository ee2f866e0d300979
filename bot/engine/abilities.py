"""What several inference processes can do together: what each has said of itself, made one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from inference.protocol import AddOnInfo, ModelInfo, Ready, ToolInfo

Named = TypeVar("Named", ModelInfo, ToolInfo, AddOnInfo)


def together(said: Sequence[Ready]) -> Ready:
    """What can be asked for where each of these runs what it can: whatever one of them has.

    Where they differ about a model, the one that paints the largest pictures is believed. At least one must be given.
    """
    first = said[0]
    if all(alike(first, other) for other in said):
        models = first.models
    else:
        # Stable: of equals the first one.
        each = sorted((model for one in said for model in one.models), key=lambda model: -model.max_pixels)
        models = _by_name(each, order=(model.name for one in said for model in one.models))
    names = {model.name for model in models}
    return replace(
        first,
        models=models,
        default_model=next((one.default_model for one in said if one.default_model in names), first.default_model),
        missing=tuple(name for name in first.missing if all(name in other.missing for other in said)),
        device=_devices(said),
        upscalers=_by_name(tool for one in said for tool in one.upscalers),
        describers=_by_name(tool for one in said for tool in one.describers),
        classifiers=_by_name(tool for one in said for tool in one.classifiers),
        elsewhere=tuple(dict.fromkeys(name for one in said for name in one.elsewhere)),
        label_sets={name: labels for one in reversed(said) for name, labels in one.label_sets.items()},
        loras=_by_name(add_on for one in said for add_on in one.loras),
        controls=_by_name(add_on for one in said for add_on in one.controls),
        # Which of them makes something is left to chance: what one made stands for all.
        identity="+".join(sorted({one.identity for one in said})) if all(one.identity for one in said) else "",
    )


def alike(one: Ready, other: Ready) -> bool:
    """Whether both can do the same, on whatever devices."""
    return one == replace(other, device=one.device, cards=one.cards, identity=one.identity)


def _by_name(found: Iterable[Named], order: Iterable[str] | None = None) -> tuple[Named, ...]:
    """The first of each name, in the order in which they come or in this one."""
    named: dict[str, Named] = {}
    for each in found:
        named.setdefault(each.name, each)
    return tuple(named.values()) if order is None else tuple(named[name] for name in dict.fromkeys(order))


def _devices(said: Sequence[Ready]) -> str:
    names = [one.device for one in said]
    counted = ((name, names.count(name)) for name in dict.fromkeys(names))
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counted)
