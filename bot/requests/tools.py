"""From a member's choice to a request for the tools that work on a picture: upscalers, describers, classifiers.

What can be chosen comes from the engine's `Ready`; whether it can be done says `protocol.limits`. Knows nothing of
Discord.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from bot.errors import MemberError
from bot.requests import lists
from inference.protocol import (
    CAPTION_TASKS,
    FACTORS,
    Classify,
    Describe,
    DescribeTask,
    Imagine,
    Input,
    Mask,
    Ready,
    ToolInfo,
    Upscale,
    limits,
)

GROWN = 2
"""Steps by which a mask is larger than what was found at first: an outline that stays would show what was there."""

TEMPLATES = ("{}", "a picture of {}", "an image of {}")
TEMPLATES_ZH = ("{}", "{}的图片")
"""In what sentences a label is put before the classifier, where all of them are Chinese; it counts what they say on
average."""

_HAN = re.compile("[\u4e00-\u9fff]")


def upscale(
    image: Input,
    ready: Ready,
    *,
    upscaler: str | None = None,
    factor: int | None = None,
    denoise: float | None = None,
    faces: str | None = None,
) -> Upscale:
    """The request to enlarge this picture. Raises MemberError where it cannot be met."""
    tool = _tool(ready.upscalers, upscaler, "upscaler")
    if faces is not None:
        faces = _tool(ready.restorers, faces, "restorer").name
    # One that only cleans leaves a picture's size to us.
    own = max(FACTORS[0], min(tool.scale, FACTORS[-1]))
    return Upscale(job=0, model=tool.name, image=image, factor=factor or own, denoise=denoise, faces=faces)


def describe(
    image: Input,
    ready: Ready,
    *,
    task: DescribeTask = "detailed caption",
    text: str = "",
    describer: str | None = None,
    language: str = "",
) -> Describe:
    """The request to describe this picture, in the language where the describer knows it. Raises MemberError where it
    cannot be met."""
    tool = _tool(ready.describers, describer, "describer")
    known = language if task in CAPTION_TASKS and language in tool.languages else ""
    return Describe(job=0, model=tool.name, image=image, task=task, text=text.strip(), language=known)


def classify(
    image: Input, ready: Ready, *, labels: str = "", label_set: str | None = None, classifier: str | None = None
) -> Classify:
    """The request to weigh these labels, written with commas between them, or those of a ready-made set."""
    tool = _tool(ready.classifiers, classifier, "classifier")
    chosen = split(labels)
    if label_set is not None:
        if label_set not in ready.label_sets:
            raise MemberError(
                "There is no label set called {typed}: choose one of {choices}.",
                typed=label_set,
                choices=tuple(ready.label_sets),
            )
        chosen += ready.label_sets[label_set]
    templates = TEMPLATES_ZH if all(map(_HAN.search, chosen)) else TEMPLATES
    return Classify(job=0, model=tool.name, image=image, labels=tuple(dict.fromkeys(chosen)), templates=templates)


def mask(image: Input, ready: Ready, text: str, edit: Imagine) -> Mask:
    """The request to find what these words mean, for an edit that wants that mask. Raises MemberError as the others."""
    if not text.strip():
        raise MemberError("Say in `what` which part of the picture is meant: the cat.")
    able = [tool for tool in ready.describers if "segment" in tool.tasks]
    tool = _tool(able, None, "describer")
    return Mask(job=0, model=tool.name, image=image, text=text.strip(), grow=GROWN, edit=edit)


def drawn(edit: Imagine) -> Mask:
    """The request to show the mask of this edit on its picture, and then to paint by it."""
    assert edit.image is not None
    return Mask(job=0, model=edit.model, image=edit.image, drawn=edit.mask, edit=replace(edit, mask=None))


def split(labels: str) -> list[str]:
    """The labels of a list as people write it: with commas (Chinese ones too), semicolons or lines between them, and
    quotes around what has some itself."""
    return [" ".join(label.split()) for label in lists.split(labels, f"{lists.COMMAS};；\n") if label]


def _tool(tools: Sequence[ToolInfo], name: str | None, kind: limits.ToolKind) -> ToolInfo:
    tool = next((tool for tool in tools if name in (None, tool.name)), None)
    if tool is None:
        raise MemberError.of(limits.unknown_tool(kind, name or "", tools))
    return tool
