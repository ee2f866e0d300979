"""/imagine: pictures from words. Its options and their limits, its result card, its buttons and its Edit form."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord
import msgspec
from discord import app_commands, ui
from discord.app_commands import Choice

from bot import cards
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.dispatcher import Dispatcher
from bot.errors import MemberError
from bot.jobs import Job
from inference.protocol import MAX_SEED, Imagine, ModelInfo, Ready, Request, Variation

KIND = "imagine"

VARIATION_STRENGTH = 0.3
"""How far a variation steps aside: the composition stays, the details change."""

VARIATIONS = 4
"""How many variations one press paints, where the engine allows as many."""

CHOICES = 25
"""The most that Discord shows under an option."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a member asked for; None is left to the model."""

    prompt: str
    negative: str | None = None
    model: str | None = None
    seed: str | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    width: int | None = None
    height: int | None = None
    count: int | None = None


def new_seed() -> int:
    """A random seed, short enough to be read out to a friend."""
    return secrets.randbelow(2**32)


def settle(wish: Wish, ready: Ready) -> Imagine:
    """The request a wish comes to, the model's defaults filled in. Raises MemberError where it cannot be met."""
    model = _model(wish.model or ready.default_model, ready)
    request = Imagine(
        job=0,
        model=model.name,
        prompt=_prompt(wish.prompt, "prompt", ready),
        negative=_prompt(wish.negative, "negative prompt", ready) if wish.negative else "",
        seed=new_seed() if wish.seed is None else _seed(wish.seed),
        steps=model.steps if wish.steps is None else wish.steps,
        guidance=model.guidance if wish.guidance is None else wish.guidance,
        sampler=wish.sampler or model.sampler,
        width=model.width if wish.width is None else wish.width,
        height=model.height if wish.height is None else wish.height,
        count=1 if wish.count is None else wish.count,
    )
    check(request, ready)
    return request


def check(request: Imagine, ready: Ready) -> None:
    """Raise MemberError where the engine, as it is now, cannot run this request: it may be years old."""
    model = _model(request.model, ready)
    if request.sampler not in model.samplers:
        raise MemberError(
            f"{model.title} has no sampler called {request.sampler!r}: choose one of {', '.join(model.samplers)}."
        )
    _within("Steps", request.steps, 1, model.max_steps)
    _within("Guidance", request.guidance, 0, model.max_guidance)
    _within("Count", request.count, 1, ready.max_count)
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
    if request.negative and not model.negative:
        raise MemberError(f"{model.title} takes no negative prompt: leave it out, or choose another model.")


class Looks:
    """How /imagine's requests and results look."""

    def headline(self, request: Request) -> str:
        """The prompt, as the member wrote it."""
        return f"**{cards.plain(request.prompt)}**"

    def finished(self, job: Job, pictures: Sequence[bytes]) -> Card:
        """The pictures, what made them, and what can be done with them."""
        request = job.request
        vary = [
            JobButton("vary", job.id, index, label=f"V{index + 1}", style=discord.ButtonStyle.primary)
            for index in range(len(pictures))
        ]
        more = [JobButton("reroll", job.id, label="Re-roll"), *cards.retry(job)[1:]]
        files = [(f"easel-{job.id}-{index + 1}.png", data) for index, data in enumerate(pictures)]
        text = f"{self.headline(request)}\n-# #{job.id} · {facts(request)} · {job.seconds:.1f} s"
        return cards.result(text, files, cards.plain(request.prompt), [vary, more])


LOOK = Looks()


def facts(request: Imagine) -> str:
    """What a Stable Diffusion user wants to know of a picture, in a line."""
    varied = f" varied {len(request.variations)}×" if request.variations else ""
    return (
        f"seed {request.seed}{varied} · {request.width}x{request.height} · {request.steps} steps"
        f" · {request.sampler} · guidance {request.guidance:g} · {request.model}"
    )


def varied(request: Imagine, index: int, seed: int, count: int) -> Imagine:
    """The request for pictures near picture `index` of this one: its noise, then a step towards that of `seed`."""
    base, before = request.seed, request.variations
    if before:
        last = before[-1]
        before = (*before[:-1], Variation((last.seed + index) % (MAX_SEED + 1), last.strength))
    else:
        base = (base + index) % (MAX_SEED + 1)
    return _replace(request, seed=base, variations=(*before, Variation(seed, VARIATION_STRENGTH)), count=count)


def edit_form(job: Job) -> ui.Modal:
    """The Edit form of a job, filled in with its request."""
    request = job.request
    form = ui.Modal(title=f"Edit #{job.id}", custom_id=f"easel:edit:{job.id}")
    long, short = discord.TextStyle.paragraph, discord.TextStyle.short
    for name, label, value, style, length in (
        ("prompt", "Prompt", request.prompt, long, 4000),
        ("negative", "Negative prompt: what should not be there", request.negative, long, 4000),
        ("seed", "Seed (empty for a new one)", str(request.seed), short, 40),
        ("size", "Size, as width x height", f"{request.width}x{request.height}", short, 20),
        ("steps", "Steps", str(request.steps), short, 10),
    ):
        field: ui.TextInput[Any] = ui.TextInput(
            custom_id=name, default=value or None, style=style, max_length=length, required=name == "prompt"
        )
        form.add_item(ui.Label(text=label, component=field))
    return form


def edited(request: Imagine, fields: Mapping[str, str], ready: Ready) -> Imagine:
    """The request of a submitted Edit form; a field left empty is left to the model."""
    seed = fields["seed"].strip()
    width, height = _size(fields["size"].strip())
    wish = Wish(
        prompt=fields["prompt"],
        negative=fields["negative"].strip() or None,
        model=request.model,
        seed=seed or None,
        steps=_whole("Steps", fields["steps"].strip()),
        guidance=request.guidance,
        sampler=request.sampler,
        width=width,
        height=height,
        count=request.count,
    )
    # The variations belong to the noise of the old seed.
    variations = request.variations if seed == str(request.seed) else ()
    return _replace(settle(wish, ready), variations=variations)


def build(dispatcher: Dispatcher) -> Slice:
    """The command, its buttons and its form."""

    @app_commands.command(name="imagine", description="Paint pictures from your words")
    @app_commands.describe(
        prompt="What the picture shows",
        negative="What should not be there",
        model="Which model paints",
        seed="The same seed paints the same picture; leave it out for a new one",
        steps="How many steps: more is slower, and finer up to a point",
        guidance="How closely to follow the prompt",
        sampler="How each step is computed",
        width="Width in pixels",
        height="Height in pixels",
        count="How many pictures",
    )
    async def imagine(
        interaction: discord.Interaction,
        prompt: str,
        negative: str | None = None,
        model: str | None = None,
        seed: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        width: int | None = None,
        height: int | None = None,
        count: int | None = None,
    ) -> None:
        wish = Wish(
            prompt=prompt,
            negative=negative,
            model=model,
            seed=seed,
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            width=width,
            height=height,
            count=count,
        )
        await dispatcher.submit(interaction, settle(wish, dispatcher.ready))

    @imagine.autocomplete("model")
    async def models(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return [
            Choice(name=f"{model.title} ({model.name})"[:100], value=model.name)
            for model in dispatcher.ready.models
            if typed.lower() in f"{model.title} {model.name}".lower()
        ][:CHOICES]

    @imagine.autocomplete("sampler")
    async def samplers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        chosen = getattr(interaction.namespace, "model", None) or dispatcher.ready.default_model
        known = {model.name: model for model in dispatcher.ready.models}
        model = known.get(chosen, known[dispatcher.ready.default_model])
        return [Choice(name=name, value=name) for name in model.samplers if typed.lower() in name.lower()][:CHOICES]

    async def submit(interaction: discord.Interaction, request: Imagine, parent: Job) -> None:
        check(request, dispatcher.ready)
        await dispatcher.submit(interaction, request, parent.id)

    async def vary(interaction: discord.Interaction, job: Job, index: int) -> None:
        count = min(VARIATIONS, dispatcher.ready.max_count)
        await submit(interaction, varied(job.request, index, new_seed(), count), job)

    async def reroll(interaction: discord.Interaction, job: Job, _: int) -> None:
        await submit(interaction, rerolled(job.request), job)

    async def again(interaction: discord.Interaction, job: Job, _: int) -> None:
        await submit(interaction, job.request, job)

    async def edit(interaction: discord.Interaction, job: Job, _: int) -> None:
        await interaction.response.send_modal(edit_form(job))

    async def edit_done(interaction: discord.Interaction, job: Job, fields: Mapping[str, str]) -> None:
        await submit(interaction, edited(job.request, fields, dispatcher.ready), job)

    return Slice(
        commands=[imagine],
        presses={"vary": vary, "reroll": reroll, "again": again, "edit": edit},
        forms={"edit": edit_done},
    )


def rerolled(request: Imagine) -> Imagine:
    """The same request from new noise."""
    return _replace(request, seed=new_seed(), variations=())


def _replace(request: Imagine, **changes: Any) -> Imagine:
    return msgspec.structs.replace(request, **changes)


def _model(name: str, ready: Ready) -> ModelInfo:
    for model in ready.models:
        if model.name == name:
            return model
    if name in ready.missing:
        raise MemberError(
            f"The weights of {name!r} are not on this machine yet: ask whoever runs this bot to fetch them,"
            " or choose another model."
        )
    names = ", ".join(model.name for model in ready.models)
    raise MemberError(f"There is no model called {name!r}: choose one of {names}.")


def _prompt(text: str, name: str, ready: Ready) -> str:
    if not text.strip():
        raise MemberError(f"The {name} is empty: say what the picture should show.")
    if len(text) > ready.max_prompt_chars:
        raise MemberError(
            f"The {name} has {len(text)} characters and {ready.max_prompt_chars} is the most: shorten it."
        )
    return text.strip()


def _seed(text: str) -> int:
    seed = int(text) if re.fullmatch(r"[0-9]{1,20}", text.strip()) else -1
    if not 0 <= seed <= MAX_SEED:
        raise MemberError(f"Seed {text[:40]!r} is not a whole number from 0 to {MAX_SEED}: leave it out for a new one.")
    return seed


def _size(text: str) -> tuple[int | None, int | None]:
    if not text:
        return None, None
    match = re.fullmatch(r"([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})", text)
    if match is None:
        raise MemberError(f"Size {text!r} is not a width and a height: write it like 512x768.")
    return int(match[1]), int(match[2])


def _whole(name: str, text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise MemberError(f"{name} {text!r} is not a whole number: write digits only.")
    return int(text)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise MemberError(f"{name} {value:g} does not fit: choose a number from {least:g} to {most:g}.")
