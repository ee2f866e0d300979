"""From a member's choice to a settled request for the tools that work on a picture: upscalers, describers, classifiers.

What can be chosen comes from the engine's `Ready`; what cannot be done is a MemberError. Knows nothing of Discord.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.errors import MemberError
from bot.requests.choices import echo, nearest
from bot.requests.numbers import within
from inference.protocol import (
    FACTORS,
    MAX_GROWN,
    MAX_OUTPUT_PIXELS,
    MAX_TEXT_CHARS,
    TASKS_WITH_TEXT,
    Classify,
    Compare,
    Describe,
    DescribeTask,
    Imagine,
    Input,
    Mask,
    Ready,
    ToolInfo,
    Upscale,
)

LABEL_CHARS = 60
GROWN = 2
"""Steps by which a mask is larger than what was found at first: an outline that stays would show what was there."""

TEMPLATES = ("{}", "a picture of {}", "an image of {}")
"""In what sentences a label is put before the classifier; it counts what they say on average."""


def upscale(
    image: Input, ready: Ready, *, upscaler: str | None = None, factor: int | None = None, denoise: float | None = None
) -> Upscale:
    """The request to enlarge this picture. Raises MemberError where it cannot be met."""
    tool = _tool(ready.upscalers, upscaler, "upscaler")
    request = Upscale(job=0, model=tool.name, image=image, factor=factor or min(tool.scale, 4), denoise=denoise)
    check(request, ready)
    return request


def describe(
    image: Input, ready: Ready, *, task: DescribeTask = "detailed caption", text: str = "", describer: str | None = None
) -> Describe:
    """The request to describe this picture. Raises MemberError where it cannot be met."""
    tool = _tool(ready.describers, describer, "describer")
    request = Describe(job=0, model=tool.name, image=image, task=task, text=text.strip())
    check(request, ready)
    return request


def classify(
    image: Input, ready: Ready, *, labels: str = "", label_set: str | None = None, classifier: str | None = None
) -> Classify:
    """The request to weigh these labels, written with commas between them, or those of a ready-made set."""
    tool = _tool(ready.classifiers, classifier, "classifier")
    chosen = split(labels)
    if label_set is not None:
        if label_set not in ready.label_sets:
            raise MemberError(
                f"There is no label set called {echo(label_set)}: choose one of {nearest(label_set, ready.label_sets)}."
            )
        chosen += ready.label_sets[label_set]
    request = Classify(job=0, model=tool.name, image=image, labels=tuple(dict.fromkeys(chosen)), templates=TEMPLATES)
    check(request, ready)
    return request


def mask(image: Input, ready: Ready, text: str, edit: Imagine) -> Mask:
    """The request to find what these words mean, for an edit that wants that mask. Raises MemberError as the others."""
    if not text.strip():
        raise MemberError("Say in `what` which part of the picture is meant: the cat.")
    able = [tool for tool in ready.describers if "segment" in tool.tasks]
    tool = _tool(able, None, "describer that finds things")
    request = Mask(job=0, model=tool.name, image=image, text=text.strip(), grow=GROWN, edit=edit)
    check(request, ready)
    return request


def check(request: Upscale | Describe | Classify | Compare | Mask, ready: Ready) -> None:
    """Raise MemberError where the engine, as it is now, cannot run this request: it may be years old."""
    match request:
        case Upscale(image=image, factor=factor):
            tool = _tool(ready.upscalers, request.model, "upscaler")
            if factor not in FACTORS:
                raise MemberError(f"Factor {factor} does not fit: choose 2, 3 or 4.")
            if image.width * image.height * factor**2 > MAX_OUTPUT_PIXELS:
                raise MemberError(
                    f"{image.width}x{image.height} enlarged {factor} times would have more than"
                    f" {MAX_OUTPUT_PIXELS // 1_000_000} million pixels: choose a smaller factor or picture."
                )
            if request.denoise is not None and not tool.denoise:
                raise MemberError(f"{tool.title} takes no denoise: leave it out, or choose another upscaler.")
            if not 0 <= (request.denoise or 0) <= 1:
                raise MemberError(f"Denoise {request.denoise:g} does not fit: choose a number from 0 to 1.")
        case Describe(task=task, text=text):
            _check_question(_tool(ready.describers, request.model, "describer"), task, text)
        case Mask(text=text, grow=grow):
            _check_question(_tool(ready.describers, request.model, "describer"), "segment", text)
            within("The mask's size", grow, -MAX_GROWN, MAX_GROWN)
        case Compare():
            if all(control.name != request.model for control in ready.controls):
                raise MemberError(f"The ControlNet {request.model} is not on this machine any more.")
        case Classify(labels=labels):
            _tool(ready.classifiers, request.model, "classifier")
            if len(labels) < 2:
                raise MemberError("Name at least two labels, with commas between them, or choose a set of them.")
            if len(labels) > ready.max_labels:
                raise MemberError(f"There are {len(labels)} labels and {ready.max_labels} is the most: leave some out.")
            if long := next((label for label in labels if len(label) > LABEL_CHARS), None):
                raise MemberError(f"The label {echo(long)} is longer than {LABEL_CHARS} characters: shorten it.")


def split(labels: str) -> list[str]:
    """The labels of a list as people write it: with commas (Chinese ones too), semicolons or lines between them."""
    return [" ".join(label.split()) for label in re.split(r"[,;\n，、；]", labels) if label.strip()]


def _check_question(tool: ToolInfo, task: DescribeTask, text: str) -> None:
    if task not in tool.tasks:
        raise MemberError(f"{tool.title} cannot do {echo(task)}: choose one of {nearest(task, tool.tasks)}.")
    if task in TASKS_WITH_TEXT and not text:
        raise MemberError(f"To {task}, say what in the option `text`.")
    if text and task not in TASKS_WITH_TEXT:
        raise MemberError(f"{task.capitalize()} takes no text: leave it out, or choose find or segment.")
    if len(text) > MAX_TEXT_CHARS:
        raise MemberError(f"The text has {len(text)} characters and {MAX_TEXT_CHARS} is the most: shorten it.")


def _tool(tools: Sequence[ToolInfo], name: str | None, what: str) -> ToolInfo:
    if not tools:
        raise MemberError(f"No {what} is on this machine: ask whoever runs this bot to fetch one.")
    if name is None:
        return tools[0]
    for tool in tools:
        if tool.name == name:
            return tool
    names = nearest(name, (tool.name for tool in tools))
    raise MemberError(f"There is no {what} called {echo(name)}: choose one of {names}.")
