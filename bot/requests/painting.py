"""From what a member typed to a request to paint, and from one request to its like. Knows nothing of Discord.

Names are looked up here, in the engine's `Ready`; whether the request can be met says the one rule, `protocol.limits`.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from bot.errors import MemberError
from bot.requests import adapters, sizes
from bot.requests.numbers import whole
from bot.words import N_
from inference.protocol import (
    MAX_SEED,
    Drawn,
    Hires,
    Imagine,
    Input,
    ModelInfo,
    Ready,
    Refiner,
    Style,
    Variation,
    because,
    enough_steps,
    limits,
    without_sure_tags,
)

STRENGTH = 0.6
"""How far to go from a picture where the member does not say: its composition stays, its manner changes."""

HIRES_STRENGTH = 0.45
"""The same for a second pass: what is there stays, its details are painted anew."""

MAX_HIRES = 4.0

VARIATION_STRENGTH = 0.3
"""How far a variation steps aside: the composition stays, the details change."""


NO_STEPS = N_("Steps {typed} is not a whole number: write digits only.")


@dataclass(frozen=True, kw_only=True)
class Options:
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
    references: tuple[Input, ...] = ()
    """What the model looks at beside the words; the first is what an instruction is done to."""
    hires: float | None = None
    """How many times as wide and high a second pass paints it."""
    hires_strength: float | None = None
    refine: bool | None = None
    """Whether the model's refiner takes the last steps."""
    loras: str | None = None
    """As members write them, `name:weight` with commas between; those of the prompt's own tags come on top."""
    control_image: Input | None = None
    control_image2: Input | None = None
    """What is followed at the same time."""
    control: str | None = None
    """As members write them, `name:weight` with commas between."""
    control_weight: float | None = None
    clip_skip: int | None = None
    """At which of the text encoder's layers, counted from its end, its states are taken."""


def new_seed() -> int:
    """A random seed, short enough to be read out to a friend."""
    return secrets.randbelow(2**32)


def resolve(options: Options, ready: Ready) -> Imagine:
    """The request that options come to, the model's defaults filled in. Raises MemberError where it cannot be met."""
    model = model_of(options.model, ready)
    if options.strength is not None and options.image is None:
        raise MemberError.of(because("strength_of_nothing"))
    image = options.image or next(iter(options.references), None)
    width, height = sizes.chosen(options.width, options.height, image, model)
    followed = [image for image in (options.control_image, options.control_image2) if image is not None]
    controls = adapters.controls(followed, options.control, options.control_weight, model, ready)
    strength = 1.0 if options.image is None else STRENGTH if options.strength is None else options.strength
    words, tags = without_sure_tags(options.prompt)
    style = _style(options.style, model) if options.style else None
    named = [*adapters.named(options.loras), *tags]
    wishes = adapters.wishes([*named, *(without_sure_tags(style.prompt)[1] if style else ())], model, ready)
    loras = adapters.loras(named, model, ready)
    steps = wishes.steps if wishes and wishes.steps else model.steps
    guidance = wishes.guidance if wishes and wishes.guidance is not None else model.guidance
    sampler = wishes.sampler if wishes and wishes.sampler else model.sampler
    return Imagine(
        job=0,
        model=model.name,
        prompt=words.strip(),
        negative=(options.negative or "").strip(),
        style=style,
        seed=new_seed() if options.seed is None else _seed(options.seed),
        steps=enough_steps(steps, max(strength, limits.LEAST_STRENGTH)) if options.steps is None else options.steps,
        guidance=guidance if options.guidance is None else options.guidance,
        sampler=options.sampler or sampler,
        width=width,
        height=height,
        count=1 if options.count is None else options.count,
        image=options.image,
        strength=strength,
        mask=options.mask,
        references=options.references,
        hires=_hires(options, width, height, model),
        refiner=_refiner(options.refine, model),
        loras=loras,
        own_loras=adapters.own(loras, words, ready),
        control=next(iter(controls), None),
        control2=next(iter(controls[1:]), None),
        clip_skip=_clip_skip(options.clip_skip, model),
    )


def edit(
    options: Options, image: Input, mask: Input | None, others: Iterable[Input], ready: Ready, *, in_part: bool
) -> Imagine:
    """The request to paint a part of a picture anew, or by a model that edits by instruction to do to it what the words
    say: that looks at the picture, and at others that the words speak of. Raises MemberError as `resolve` does.

    `in_part` where only what a mask says is painted, be it known yet or not.
    """
    looked_at = (image, *others)
    instructed = model_of(options.model, ready).references > 0
    if instructed and not in_part and options.strength in (None, 1):
        # From noise alone: there is nothing of the picture under it.
        return resolve(dataclasses.replace(options, strength=None, references=looked_at), ready)
    return resolve(
        dataclasses.replace(
            options,
            image=image,
            mask=mask,
            strength=1.0 if options.strength is None else options.strength,
            references=looked_at if instructed or len(looked_at) > 1 else (),
        ),
        ready,
    )


def edited(request: Imagine, fields: Mapping[str, str], ready: Ready) -> Imagine:
    """The request of a submitted Edit form; a field left empty is left to the model."""
    seed = fields["seed"].strip()
    width, height = _size(fields["size"].strip())
    options = Options(
        prompt=fields["prompt"],
        negative=fields["negative"].strip() or None,
        model=request.model,
        seed=seed or None,
        steps=whole(fields["steps"].strip(), NO_STEPS),
        guidance=request.guidance,
        sampler=request.sampler,
        width=width,
        height=height,
        count=request.count,
        image=request.image,
        strength=None if request.image is None else request.strength,
        references=request.references,
        hires=None if request.hires is None else request.hires.width / request.width,
        hires_strength=None if request.hires is None else request.hires.strength,
        refine=request.refiner is not None,
        clip_skip=request.clip_skip,
    )
    # The variations belong to the noise of the old seed.
    variations = request.variations if seed == str(request.seed) else ()
    resolved = resolve(options, ready)
    return replace(
        resolved,
        style=request.style,
        variations=variations,
        loras=resolved.loras or request.loras,
        # What it was painted with stays as it was then.
        own_loras=resolved.own_loras if resolved.loras else (*request.own_loras, *resolved.own_loras),
        control=request.control,
        control2=request.control2,
        mask=request.mask,
    )


def rerolled(request: Imagine) -> Imagine:
    """The same request from new noise."""
    return replace(request, seed=new_seed(), variations=())


def varied(request: Imagine, index: int, seed: int, count: int, drawn: Sequence[Drawn] = ()) -> Imagine:
    """The request for pictures near picture `index` of this one: its noise, then a step towards that of `seed`.

    `drawn` is what its pictures were painted from, where that was left to chance.
    """
    # The words too are this picture's: the seeds of its variations would draw others.
    if drawn:
        own = drawn[index]
        request = replace(request, prompt=own.prompt, negative=own.negative, loras=own.loras, style=None)
    elif (words := request.drawn(request.seed_of(index))) != request.styled:
        request = replace(request, prompt=words[0], negative=words[1], style=None)
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
    if (model := ready.model(name)) is None:
        raise MemberError.of(limits.unknown_model(name, ready))
    return model


def _hires(options: Options, width: int, height: int, model: ModelInfo) -> Hires | None:
    if options.hires is None:
        if options.hires_strength is not None:
            raise MemberError("The hires strength is for a second pass: say how large as `hires`, or leave it out.")
        return None
    if not 1 <= options.hires <= MAX_HIRES:
        raise MemberError(
            "Hires {value} does not fit: choose a number from {least} to {most}.",
            value=options.hires,
            least=1,
            most=MAX_HIRES,
        )
    wide, high = (round(side * options.hires / model.size_multiple) * model.size_multiple for side in (width, height))
    return Hires(wide, high, HIRES_STRENGTH if options.hires_strength is None else options.hires_strength)


def _clip_skip(wanted: int | None, model: ModelInfo) -> int | None:
    chosen = model.clip_skip if wanted is None else wanted
    return None if chosen == model.usual_layer else chosen


def _refiner(wanted: bool | None, model: ModelInfo) -> Refiner | None:
    if wanted and model.refiner is None:
        raise MemberError("{model} has no refiner here: leave it out.", model=model.title)
    return None if wanted is False else model.refiner


def _style(name: str, model: ModelInfo) -> Style:
    if not model.styles:
        raise MemberError("{model} has no styles: leave it out, or choose another model.", model=model.title)
    for style in model.styles:
        if style.name == name:
            return style
    raise MemberError(
        "{model} has no style called {typed}: choose one of {choices}.",
        model=model.title,
        typed=name,
        choices=tuple(style.name for style in model.styles),
    )


def _seed(text: str) -> int:
    seed = int(text) if re.fullmatch(r"[0-9]{1,20}", text.strip()) else -1
    if not 0 <= seed <= MAX_SEED:
        raise MemberError.of(because("seed", typed=text, most=str(MAX_SEED)))
    return seed


def _size(text: str) -> tuple[int | None, int | None]:
    if not text:
        return None, None
    match = re.fullmatch(r"([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})", text)
    if match is None:
        raise MemberError("Size {typed} is not a width and a height: write it like 512x768.", typed=text)
    return int(match[1]), int(match[2])
