"""The rule for what is done with pictures: /upscale, /describe, /classify, masks, comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from inference.protocol.events import Ready, ToolInfo
from inference.protocol.limits import painting
from inference.protocol.limits.bounds import (
    MAX_LABEL_CHARS,
    MAX_NETWORK_PIXELS,
    MAX_SIDE,
    MAX_TEMPLATE_CHARS,
    MAX_TEMPLATES,
    MIN_SIDE,
    is_blank,
    outside,
    unknown_tool,
)
from inference.protocol.reasons import Reason, because
from inference.protocol.requests import (
    FACTORS,
    MAX_GROWN,
    MAX_OUTPUT_PIXELS,
    MAX_TEXT_CHARS,
    TASKS_WITH_TEXT,
    Classify,
    Compare,
    Describe,
    DescribeTask,
    Mask,
    Upscale,
)


def of_upscale(request: Upscale, ready: Ready) -> Iterator[Reason]:
    """Why this picture cannot be enlarged."""
    tool = _named(request.model, ready.upscalers)
    if tool is None:
        yield unknown_tool("upscaler", request.model, ready.upscalers)
        return
    width, height, factor = request.image.width, request.image.height, request.factor
    if factor not in FACTORS:
        yield because("factor", value=factor, choices=tuple(str(choice) for choice in FACTORS))
    if request.denoise is not None:
        if not tool.denoise:
            yield because("no_denoise", model=tool.title)
        yield from outside("denoise", request.denoise, 0, 1)
    if request.faces is not None and _named(request.faces, ready.restorers) is None:
        yield unknown_tool("restorer", request.faces, ready.restorers)
    if width < 1 or height < 1:
        yield because("no_pixels")
    if width * height * factor**2 > MAX_OUTPUT_PIXELS:
        smaller = [choice for choice in FACTORS if width * height * choice**2 <= MAX_OUTPUT_PIXELS]
        millions = MAX_OUTPUT_PIXELS // 1_000_000
        if smaller:
            yield because("enlarged_pixels", width=width, height=height, most=millions, factor=max(smaller))
        else:
            yield because("enlarged_at_all", width=width, height=height, most=millions)
    if width * height * tool.scale**2 > MAX_NETWORK_PIXELS:
        yield because("network_pixels", width=width, height=height, model=tool.title, scale=tool.scale)


def of_mask(request: Mask, ready: Ready) -> Iterator[Reason]:
    """Why this cannot be looked for, or nothing painted there."""
    if request.drawn is None:
        yield from _of_question(request.model, "segment", request.text, ready)
    elif (request.drawn.width, request.drawn.height) != (request.image.width, request.image.height):
        yield because("mask_size")
    yield from outside("grow", request.grow, -MAX_GROWN, MAX_GROWN)
    # What it is for: nobody looks at a mask that nothing can be painted in. It will be of the picture's size. What is
    # painted elsewhere is measured where that is known.
    if ready.model(request.edit.model) is None and request.edit.model in ready.elsewhere:
        return
    yield from painting.of_imagine(replace(request.edit, mask=request.edit.image), ready)


def of_classify(request: Classify, ready: Ready) -> Iterator[Reason]:
    """Why these labels cannot be compared."""
    if _named(request.model, ready.classifiers) is None:
        yield unknown_tool("classifier", request.model, ready.classifiers)
        return
    labels, templates = request.labels, request.templates
    if len(labels) < 2:
        yield because("few_labels")
    if len(labels) > ready.max_labels:
        yield because("labels", count=len(labels), most=ready.max_labels)
    for label in labels:
        if is_blank(label):
            yield because("no_label")
        if len(label) > MAX_LABEL_CHARS:
            yield because("label_chars", typed=label, most=MAX_LABEL_CHARS)
        if labels.count(label) > 1:
            yield because("label_twice", typed=label)
    if not 1 <= len(templates) <= MAX_TEMPLATES:
        yield because("templates", count=len(templates), most=MAX_TEMPLATES)
    for template in templates:
        if "{}" not in template or len(template) > MAX_TEMPLATE_CHARS:
            yield because("template", typed=template, most=MAX_TEMPLATE_CHARS)


def of_compare(request: Compare, ready: Ready) -> Iterator[Reason]:
    """Why there is nothing to put side by side."""
    names = tuple(control.name for control in ready.controls)
    for model, _ in request.followed:
        if model not in names:
            yield because("no_control", typed=model, choices=names)
    yield from outside("count", len(request.painted), 1, ready.max_count)
    if not (MIN_SIDE <= request.width <= MAX_SIDE and MIN_SIDE <= request.height <= MAX_SIDE):
        yield because("compared_size", width=request.width, height=request.height)


def of_describe(request: Describe, ready: Ready) -> Iterator[Reason]:
    """Why this cannot be asked."""
    yield from _of_question(request.model, request.task, request.text, ready)


def _of_question(name: str, task: DescribeTask, text: str, ready: Ready) -> Iterator[Reason]:
    tool = _named(name, ready.describers)
    if tool is None:
        yield unknown_tool("describer", name, ready.describers)
        return
    if task not in tool.tasks:
        yield because("no_task", model=tool.title, task=task, tasks=tool.tasks)
    if task in TASKS_WITH_TEXT and not text.strip():
        yield because("task_needs_text", task=task)
    if text and task not in TASKS_WITH_TEXT:
        yield because("task_takes_no_text", task=task)
    if len(text) > MAX_TEXT_CHARS:
        yield because("text_chars", chars=len(text), most=MAX_TEXT_CHARS)
    if "<" in text or ">" in text:
        # The models' own marks look like this, and transformers takes them out of the text as such.
        yield because("text_signs")


def _named(name: str, tools: Sequence[ToolInfo]) -> ToolInfo | None:
    return next((tool for tool in tools if tool.name == name), None)
