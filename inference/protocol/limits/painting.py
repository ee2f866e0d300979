"""The rule for what is painted: /imagine, /grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from inference.protocol.add_ons import AddOnInfo
from inference.protocol.events import ModelInfo, Ready
from inference.protocol.limits.bounds import (
    LEAST_STRENGTH,
    MAX_CLIP_SKIP,
    MAX_CONTROL_WEIGHT,
    MAX_HEADING_CHARS,
    MAX_LORA_WEIGHT,
    MAX_REFERENCE_PROPORTION,
    MAX_STEPS,
    MAX_VARIATIONS,
    is_blank,
    outside,
    unknown_add_on,
    unknown_model,
)
from inference.protocol.limits.elsewhere import of_remote
from inference.protocol.pictures import MAX_CELLS, MAX_SEED, Grid, Hires, Imagine
from inference.protocol.reasons import Reason, because
from inference.protocol.requests import MAX_OUTPUT_PIXELS
from inference.protocol.schedules import schedule_problem
from inference.protocol.tags import without_tags
from inference.protocol.words import weight_problem


def of_imagine(request: Imagine, ready: Ready) -> Iterator[Reason]:
    """Why this cannot be painted."""
    model = ready.model(request.model)
    if model is None:
        yield unknown_model(request.model, ready)
        return
    if request.own_loras:
        ready = ready.with_own(ready.own_lora(own) for own in request.own_loras)
    yield from _of_words(request, model, ready)
    if model.remote is not None:
        yield from of_remote(request, model, model.remote)
    yield from _of_schedule(request, model, ready)
    yield from _of_size(request.width, request.height, model)
    for seed in (request.seed, *(variation.seed for variation in request.variations)):
        if not 0 <= seed <= MAX_SEED:
            yield because("seed", typed=str(seed), most=str(MAX_SEED))
    if len(request.variations) > MAX_VARIATIONS:
        yield because("variations", most=MAX_VARIATIONS)
    for variation in request.variations:
        yield from outside("variation_strength", variation.strength, 0, 1)
    yield from outside("strength", request.strength, LEAST_STRENGTH, 1)
    if model.fills and request.mask is None:
        yield because("needs_mask", model=model.title)
    yield from _of_picture(request)
    yield from _of_references(request, model)
    if request.hires is not None:
        yield from _of_hires(request.hires, request, model)
    yield from _of_add_ons(request, model, ready)


def of_grid(request: Grid, ready: Ready) -> Iterator[Reason]:
    """Why these cannot be painted as one table."""
    if not 1 <= len(request.cells) <= MAX_CELLS:
        yield because("cells", count=len(request.cells), most=MAX_CELLS)
    if len(request.columns) * len(request.rows) != len(request.cells):
        yield because("headings")
    if any(len(heading) > MAX_HEADING_CHARS for heading in (*request.columns, *request.rows)):
        yield because("heading_chars", most=MAX_HEADING_CHARS)
    pixels = 0
    for cell in request.cells:
        yield from of_imagine(cell, ready)
        if cell.model in ready.elsewhere:
            yield because("no_grid", model=cell.model)
        if cell.count != 1 or cell.inputs:
            yield because("cell")
        if (model := ready.model(cell.model)) is not None:
            pixels += cell.width * cell.height * model.upscale**2
    if pixels > MAX_OUTPUT_PIXELS:
        yield because("grid_pixels", millions=pixels // 1_000_000, most=MAX_OUTPUT_PIXELS // 1_000_000)


def _of_words(request: Imagine, model: ModelInfo, ready: Ready) -> Iterator[Reason]:
    if is_blank(request.prompt):
        yield because("no_prompt")
    if request.negative and not model.negative:
        yield because("no_negative", model=model.title)
    # With the words of a style: what a variation is painted from, and what is made of that, holds them as its own.
    prompt, negative = request.styled
    most = ready.max_prompt_chars
    if len(prompt) > most and request.style is None:
        yield because("prompt_chars", chars=len(prompt), most=most)
    if len(prompt) > most:
        yield because("styled_chars", chars=len(prompt), most=most)
    if len(negative) > most:
        yield because("negative_chars", chars=len(negative), most=most)
    for text in (prompt, negative):
        if (wrong := words_problem(text, request.steps)) is not None:
            yield wrong
    yield from _of_tags(prompt, model, ready)


def words_problem(text: str, steps: int) -> Reason | None:
    """Why no model can follow words that are written so; None where one can."""
    return weight_problem(text) or schedule_problem(text, max(1, min(steps, MAX_STEPS)))


def _of_tags(prompt: str, model: ModelInfo, ready: Ready) -> Iterator[Reason]:
    """Of the LoRAs that a wildcard may draw, or that a style has."""
    for tag in without_tags(prompt)[1]:
        named = next((one.name for one in ready.loras if one.is_called(tag.name)), tag.name)
        if not _goes_with(named, ready.loras, model):
            yield unknown_add_on("lora", named, ready.loras, model)
        if tag.problem is not None:
            yield tag.problem
        for weight in (tag.weight, tag.words):
            if weight is not None:
                yield from outside("lora_weight", weight, -MAX_LORA_WEIGHT, MAX_LORA_WEIGHT)


def _of_schedule(request: Imagine, model: ModelInfo, ready: Ready) -> Iterator[Reason]:
    if request.sampler and not model.samplers:
        yield because("no_samplers", model=model.title)
    elif model.samplers and request.sampler not in model.samplers:
        yield because("no_sampler", model=model.title, typed=request.sampler, choices=model.samplers)
    yield from outside("steps", request.steps, 1, model.max_steps)
    if request.guidance > model.max_guidance and not model.guided:
        yield because("no_guidance", model=model.title)
    yield from outside("guidance", request.guidance, 0, model.max_guidance)
    yield from outside("count", request.count, 1, ready.max_count)
    if request.clip_skip is not None:
        if model.usual_layer is None:
            yield because("no_clip_skip", model=model.title)
        else:
            yield from outside("clip_skip", request.clip_skip, model.usual_layer, MAX_CLIP_SKIP)
    if request.refiner is not None:
        if model.refiner is None or model.refiner.name != request.refiner.name:
            yield because("no_refiner", typed=request.refiner.name)
        if not 0 < request.refiner.share < 1:
            yield because("refiner_share", value=request.refiner.share)


def size_fits(width: int, height: int, model: ModelInfo) -> bool:
    """Whether a model paints in this size."""
    return not any(_of_size(width, height, model))


def _of_size(width: int, height: int, model: ModelInfo) -> Iterator[Reason]:
    if model.remote is not None and model.remote.sizes:
        if (width, height) not in model.remote.sizes:
            choices = tuple(f"{wide}x{high}" for wide, high in model.remote.sizes)
            yield because("listed_size", width=width, height=height, model=model.title, choices=choices)
        return
    for which, size in (("width", width), ("height", height)):
        if size % model.size_multiple or not model.min_size <= size <= model.max_size:
            near = min(max(round(size / model.size_multiple) * model.size_multiple, model.min_size), model.max_size)
            yield because(
                which,
                value=size,
                model=model.title,
                multiple=model.size_multiple,
                least=model.min_size,
                most=model.max_size,
                near=near,
            )
    if width * height > model.max_pixels:
        yield because("pixels", width=width, height=height, model=model.title, most=model.max_pixels)


def _of_picture(request: Imagine) -> Iterator[Reason]:
    image, mask = request.image, request.mask
    if image is None and request.strength != 1:
        yield because("strength_of_nothing")
    if mask is None:
        return
    if image is None:
        yield because("mask_of_nothing")
    elif (mask.width, mask.height) != (image.width, image.height):
        yield because("mask_size")
    if request.hires is not None:
        yield because("hires_of_mask")


def _of_references(request: Imagine, model: ModelInfo) -> Iterator[Reason]:
    count = len(request.references)
    if count and not model.references:
        yield because("no_references", model=model.title)
    elif count > model.references:
        yield because("references", count=count, most=model.references, model=model.title)
    for reference in request.references:
        longer, shorter = max(reference.width, reference.height), min(reference.width, reference.height)
        if shorter < 1:
            yield because("no_pixels")
        elif longer > MAX_REFERENCE_PROPORTION * shorter:
            size = {"width": reference.width, "height": reference.height}
            yield because("reference_proportions", **size, most=MAX_REFERENCE_PROPORTION)


def _of_hires(hires: Hires, request: Imagine, model: ModelInfo) -> Iterator[Reason]:
    yield from outside("hires_strength", hires.strength, LEAST_STRENGTH, 1)
    if hires.width % model.size_multiple or hires.height % model.size_multiple:
        yield because("hires_side", model=model.title, multiple=model.size_multiple)
    if hires.width < request.width or hires.height < request.height:
        yield because("hires_smaller")
    if hires.width * hires.height > model.max_hires_pixels:
        factor = math.sqrt(model.max_hires_pixels / (request.width * request.height))
        yield because(
            "hires_pixels",
            width=hires.width,
            height=hires.height,
            model=model.title,
            factor=math.floor(factor * 10) / 10,
        )


def _of_add_ons(request: Imagine, model: ModelInfo, ready: Ready) -> Iterator[Reason]:
    names = [lora.name for lora in request.loras]
    if len(names) > ready.max_loras:
        yield because("loras", count=len(names), most=ready.max_loras)
    for lora in request.loras:
        if not _goes_with(lora.name, ready.loras, model):
            yield unknown_add_on("lora", lora.name, ready.loras, model)
        if names.count(lora.name) > 1:
            yield because("lora_twice", typed=lora.name)
        for weight in (lora.weight, lora.words):
            if weight is not None:
                yield from outside("lora_weight", weight, -MAX_LORA_WEIGHT, MAX_LORA_WEIGHT)
    yield from _of_controls(request, model, ready)


def _of_controls(request: Imagine, model: ModelInfo, ready: Ready) -> Iterator[Reason]:
    names = [control.name for control in request.controls]
    for control in request.controls:
        if model.fills:
            yield because("control_of_others", typed=control.name, model=model.title)
        if not _goes_with(control.name, ready.controls, model):
            yield unknown_add_on("control", control.name, ready.controls, model)
        yield from outside("control_weight", control.weight, 0, MAX_CONTROL_WEIGHT)
    for known in ready.controls:
        if names[1:] and known.name == names[0] and names[1] not in known.beside:
            if not known.beside:
                yield because("one_control", model=model.title)
            else:
                yield because("controls_apart", control=names[0], typed=names[1], choices=known.beside)


def _goes_with(name: str, known: Sequence[AddOnInfo], model: ModelInfo) -> bool:
    return any(name == one.name and model.name in one.models for one in known)
