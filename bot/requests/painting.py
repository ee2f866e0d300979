"""From what a member typed to a request that the engine can run, and from one request to its like.

Every limit comes from the engine's `Ready`; a wish that cannot be met is a MemberError. Knows nothing of Discord.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from bot.errors import MemberError
from bot.requests import adapters
from bot.requests.choices import echo, nearest
from bot.requests.numbers import whole, within
from inference.protocol import (
    MAX_SEED,
    Hires,
    Imagine,
    Input,
    ModelInfo,
    Ready,
    Refiner,
    Style,
    Variation,
    enough_steps,
    weight_problem,
)

STRENGTH, LEAST_STRENGTH = 0.6, 0.05
"""How far to go from a picture where the member does not say: its composition stays, its manner changes."""

HIRES_STRENGTH = 0.45
"""The same for a second pass: what is there stays, its details are painted anew."""

MAX_HIRES = 4.0

VARIATION_STRENGTH = 0.3
"""How far a variation steps aside: the composition stays, the details change."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a member asked for; None is left to the model."""

    prompt: str
    negative: str | None = None
    style: str | None = None
    model: str | None = None
    seed: str | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    width: int | None = None
    height: int | None = None
    count: int | None = None
    image: Input | None = None
    strength: float | None = None
    """How far to go from the image."""
    mask: Input | None = None
    """What of the image is painted."""
    hires: float | None = None
    """How many times as wide and high a second pass paints it."""
    hires_strength: float | None = None
    refine: bool | None = None
    """Whether the model's refiner takes the last steps."""
    loras: str | None = None
    """As members write them, `name:weight` with commas between; those of the prompt's own tags come on top."""
    control_image: Input | None = None
    control: str | None = None
    control_weight: float | None = None


def new_seed() -> int:
    """A random seed, short enough to be read out to a friend."""
    return secrets.randbelow(2**32)


def settle(wish: Wish, ready: Ready) -> Imagine:
    """The request a wish comes to, the model's defaults filled in. Raises MemberError where it cannot be met."""
    model = model_of(wish.model, ready)
    if wish.strength is not None and wish.image is None:
        raise MemberError("Strength says how far to go from a picture: give one as `image`, or leave it out.")
    width, height = _size_of(wish, model)
    strength = 1.0 if wish.image is None else STRENGTH if wish.strength is None else wish.strength
    words, tags = adapters.without_tags(wish.prompt)
    named = [part for part in (wish.loras or "").split(",") if part.strip()]
    request = Imagine(
        job=0,
        model=model.name,
        prompt=_prompt(words, "prompt", ready),
        negative=_prompt(wish.negative, "negative prompt", ready) if wish.negative else "",
        style=_style(wish.style, model) if wish.style else None,
        seed=new_seed() if wish.seed is None else _seed(wish.seed),
        steps=enough_steps(model.steps, max(strength, LEAST_STRENGTH)) if wish.steps is None else wish.steps,
        guidance=model.guidance if wish.guidance is None else wish.guidance,
        sampler=wish.sampler or model.sampler,
        width=width,
        height=height,
        count=1 if wish.count is None else wish.count,
        image=wish.image,
        strength=strength,
        mask=wish.mask,
        hires=_hires(wish, width, height, model),
        refiner=_refiner(wish.refine, model),
        loras=adapters.loras([*named, *tags], model, ready),
        control=adapters.control(wish.control_image, wish.control, wish.control_weight, model, ready),
    )
    check(request, ready)
    return request


def check(request: Imagine, ready: Ready) -> None:
    """Raise MemberError where the engine, as it is now, cannot run this request: it may be years old."""
    model = model_of(request.model, ready)
    if request.sampler not in model.samplers:
        raise MemberError(
            f"{model.title} has no sampler called {echo(request.sampler)}:"
            f" choose one of {nearest(request.sampler, model.samplers)}."
        )
    within("Steps", request.steps, 1, model.max_steps)
    if request.guidance > model.max_guidance and not model.guided:
        raise MemberError(f"{model.title} takes no guidance: leave it out, or choose another model.")
    within("Guidance", request.guidance, 0, model.max_guidance)
    within("Count", request.count, 1, ready.max_count)
    within("Strength", request.strength, LEAST_STRENGTH, 1)
    for name, size in (("Width", request.width), ("Height", request.height)):
        if size % model.size_multiple or not model.min_size <= size <= model.max_size:
            near = min(max(round(size / model.size_multiple) * model.size_multiple, model.min_size), model.max_size)
            raise MemberError(
                f"{name} {size} does not fit {model.title}: choose a multiple of {model.size_multiple}"
                f" from {model.min_size} to {model.max_size}, for example {near}."
            )
    if request.width * request.height > model.max_pixels:
        raise MemberError(
            f"{request.width}x{request.height} is too large for {model.title}, which paints up to"
            f" {model.max_pixels} pixels in all: choose a smaller width or height."
        )
    if request.hires is not None:
        _check_hires(request.hires, request, model)
    if request.refiner is not None and (model.refiner is None or model.refiner.name != request.refiner.name):
        raise MemberError(f"The refiner {request.refiner.name} is not here any more: ask for a new picture instead.")
    if request.negative and not model.negative:
        raise MemberError(f"{model.title} takes no negative prompt: leave it out, or choose another model.")
    adapters.check(request, model, ready)


def edited(request: Imagine, fields: Mapping[str, str], ready: Ready) -> Imagine:
    """The request of a submitted Edit form; a field left empty is left to the model."""
    seed = fields["seed"].strip()
    width, height = _size(fields["size"].strip())
    wish = Wish(
        prompt=fields["prompt"],
        negative=fields["negative"].strip() or None,
        model=request.model,
        seed=seed or None,
        steps=whole("Steps", fields["steps"].strip()),
        guidance=request.guidance,
        sampler=request.sampler,
        width=width,
        height=height,
        count=request.count,
        image=request.image,
        strength=None if request.image is None else request.strength,
        hires=None if request.hires is None else request.hires.width / request.width,
        hires_strength=None if request.hires is None else request.hires.strength,
        refine=request.refiner is not None,
    )
    # The variations belong to the noise of the old seed.
    variations = request.variations if seed == str(request.seed) else ()
    settled = settle(wish, ready)
    kept = replace(
        settled,
        style=request.style,
        variations=variations,
        loras=settled.loras or request.loras,
        control=request.control,
        mask=request.mask,
    )
    check(kept, ready)
    return kept


def rerolled(request: Imagine) -> Imagine:
    """The same request from new noise."""
    return replace(request, seed=new_seed(), variations=())


def varied(request: Imagine, index: int, seed: int, count: int) -> Imagine:
    """The request for pictures near picture `index` of this one: its noise, then a step towards that of `seed`."""
    # The words too are this picture's: the seeds of its variations would draw others.
    if (drawn := request.drawn(request.seed_of(index))) != request.styled:
        request = replace(request, prompt=drawn[0], negative=drawn[1], style=None)
    base, before = request.seed, request.variations
    if before:
        last = before[-1]
        before = (*before[:-1], Variation((last.seed + index) % (MAX_SEED + 1), last.strength))
    else:
        base = (base + index) % (MAX_SEED + 1)
    return replace(request, seed=base, variations=(*before, Variation(seed, VARIATION_STRENGTH)), count=count)


def model_of(name: str | None, ready: Ready) -> ModelInfo:
    """The model of this name, the default one without a name. Raises MemberError where there is none."""
    name = name or ready.default_model
    model = ready.model(name)
    if model is not None:
        return model
    if name in ready.missing:
        raise MemberError(
            f"The weights of {echo(name)} are not on this machine yet: ask whoever runs this bot to fetch them,"
            " or choose another model."
        )
    names = nearest(name, (model.name for model in ready.models))
    raise MemberError(f"There is no model called {echo(name)}: choose one of {names}.")


def _hires(wish: Wish, width: int, height: int, model: ModelInfo) -> Hires | None:
    if wish.hires is None:
        if wish.hires_strength is not None:
            raise MemberError("The hires strength is for a second pass: say how large as `hires`, or leave it out.")
        return None
    within("Hires", wish.hires, 1, MAX_HIRES)
    wide, high = (round(side * wish.hires / model.size_multiple) * model.size_multiple for side in (width, height))
    return Hires(wide, high, HIRES_STRENGTH if wish.hires_strength is None else wish.hires_strength)


def _check_hires(hires: Hires, request: Imagine, model: ModelInfo) -> None:
    within("Hires strength", hires.strength, LEAST_STRENGTH, 1)
    if request.mask is not None:
        raise MemberError("Where a part of a picture is painted there is no second pass: leave `hires` out.")
    if hires.width * hires.height > model.max_hires_pixels:
        most = math.sqrt(model.max_hires_pixels / (request.width * request.height))
        raise MemberError(
            f"A second pass at {hires.width}x{hires.height} is too large for {model.title}:"
            f" choose a hires of {math.floor(most * 10) / 10:g} or less, or a smaller width or height."
        )


def _refiner(wanted: bool | None, model: ModelInfo) -> Refiner | None:
    if wanted and model.refiner is None:
        raise MemberError(f"{model.title} has no refiner here: leave it out.")
    return None if wanted is False else model.refiner


def _style(name: str, model: ModelInfo) -> Style:
    if not model.styles:
        raise MemberError(f"{model.title} has no styles: leave it out, or choose another model.")
    for style in model.styles:
        if style.name == name:
            return style
    names = nearest(name, (style.name for style in model.styles))
    raise MemberError(f"{model.title} has no style called {echo(name)}: choose one of {names}.")


def _size_of(wish: Wish, model: ModelInfo) -> tuple[int, int]:
    """As asked for; what is left out is the model's own or, with a picture to start from, of its proportions."""
    if wish.image is None:
        return wish.width or model.width, wish.height or model.height
    if wish.width and wish.height:
        return wish.width, wish.height
    if wish.width:
        return wish.width, _side(wish.width * wish.image.height / wish.image.width, model)
    if wish.height:
        return _side(wish.height * wish.image.width / wish.image.height, model), wish.height
    return _like(wish.image, model)


def _side(pixels: float, model: ModelInfo) -> int:
    fitting = round(pixels / model.size_multiple) * model.size_multiple
    return min(max(fitting, model.min_size), model.max_size)


def _like(image: Input, model: ModelInfo) -> tuple[int, int]:
    """The model's size in the proportions of a picture, as near as its limits allow."""
    scale = math.sqrt(model.width * model.height / (image.width * image.height))
    width, height = _side(image.width * scale, model), _side(image.height * scale, model)
    while width * height > model.max_pixels:
        if width >= height:
            width -= model.size_multiple
        else:
            height -= model.size_multiple
    return width, height


def _prompt(text: str, name: str, ready: Ready) -> str:
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        raise MemberError(f"The {name} is empty: say what the picture should show.")
    if len(text) > ready.max_prompt_chars:
        raise MemberError(
            f"The {name} has {len(text)} characters and {ready.max_prompt_chars} is the most: shorten it."
        )
    if problem := weight_problem(text):
        raise MemberError(problem)
    return text.strip()


def _seed(text: str) -> int:
    seed = int(text) if re.fullmatch(r"[0-9]{1,20}", text.strip()) else -1
    if not 0 <= seed <= MAX_SEED:
        raise MemberError(f"Seed {echo(text)} is not a whole number from 0 to {MAX_SEED}: leave it out for a new one.")
    return seed


def _size(text: str) -> tuple[int | None, int | None]:
    if not text:
        return None, None
    match = re.fullmatch(r"([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})", text)
    if match is None:
        raise MemberError(f"Size {echo(text)} is not a width and a height: write it like 512x768.")
    return int(match[1]), int(match[2])
