"""/imagine: pictures from words. Its options, its result card, its buttons and its Edit form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, completions, custom_ids, sources
from bot.admission import admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import FORM_LIFE_S, Fields, Form, Slice
from bot.custom_ids import OfJob, OfMessage
from bot.job import Job, asked
from bot.pictures.fitting import Shown
from bot.pictures.posted import Posted
from bot.requests.numbers import number
from bot.requests.painting import STRENGTH, Wish, edited, new_seed, rerolled, settle, varied
from bot.sources import Source
from inference.protocol import Imagine, Input

VARIATIONS = 4
"""How many variations one press paints, where the engine allows as many."""


class Looks:
    """How /imagine's requests and results look."""

    def headline(self, request: Imagine) -> str:
        """The prompt, as the member wrote it."""
        return f"**{cards.plain(request.prompt)}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, with other words, or away with it."""
        return [cards.again(job), _edit(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The pictures, what made them, and what can be done with them."""
        request = asked(job, Imagine)
        upscale, vary = (
            [
                JobButton(action, job.id, index, label=f"{letter}{index + 1}", style=style)
                for index in range(len(pictures))
            ]
            for action, letter, style in (
                ("upscale", "U", discord.ButtonStyle.secondary),
                ("vary", "V", discord.ButtonStyle.primary),
            )
        )
        edges = [JobButton("compare", job.id, label="Show edges")] if request.control else []
        more = [JobButton("reroll", job.id, label="Re-roll"), _edit(job), *edges, cards.delete(job)]
        text = "\n".join([self.headline(request), *_drawn(request, job)])
        return cards.result(job, text, facts(request), pictures, request.prompt, [upscale, vary, more])


def _drawn(request: Imagine, job: Job) -> list[str]:
    """What the wildcards of a finished job came to, picture by picture; nothing where there are none."""
    lines = []
    for index in range(len(job.pictures)):
        prompt, negative = request.drawn(request.seed_of(index))
        if (prompt, negative) != request.styled:
            said = cards.plain(prompt) + (f" · without {cards.plain(negative)}" if negative else "")
            lines.append(f"{index + 1}. {said}" if request.count > 1 else said)
    return lines


def _edit(job: Job) -> JobButton:
    return JobButton("edit", job.id, label="Edit")


def facts(request: Imagine) -> str:
    """What a Stable Diffusion user wants to know of a picture, in a line."""
    hires, refiner, control = request.hires, request.refiner, request.control
    said = [
        f"seed {request.seed}" + (f" varied {len(request.variations)}×" if request.variations else ""),
        f"{request.width}x{request.height}",
        f"{request.steps} steps",
        request.sampler,
        f"guidance {request.guidance:g}",
        request.model,
        refiner and f"refined by {refiner.name}",
        request.style and cards.plain(request.style.title),
        *(f"{lora.name} {lora.weight:g}" for lora in request.loras),
        control and f"follows {control.name} {control.weight:g}",
        request.image and f"from a picture, strength {request.strength:g}",
        hires and f"again at {hires.width}x{hires.height}, strength {hires.strength:g}",
    ]
    return " · ".join(fact for fact in said if fact)


def edit_form(job: Job) -> ui.Modal:
    """The Edit form of a job, filled in with its request."""
    request = asked(job, Imagine)
    custom_id = custom_ids.make("edit", OfJob(job.id))
    form = ui.Modal(title=f"Edit #{job.id}", custom_id=custom_id, timeout=FORM_LIFE_S)
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


def reimagine_form(target: OfJob | OfMessage, prompt: str | None = None) -> ui.Modal:
    """The form that asks what to make of a picture."""
    form = ui.Modal(title="Reimagine", custom_id=custom_ids.make("reimagine", target), timeout=FORM_LIFE_S)
    words: ui.TextInput[Any] = ui.TextInput(
        custom_id="prompt", default=prompt, style=discord.TextStyle.paragraph, max_length=4000
    )
    strength: ui.TextInput[Any] = ui.TextInput(
        custom_id="strength", default=f"{STRENGTH:g}", max_length=10, required=False
    )
    form.add_item(ui.Label(text="What it shall become", component=words))
    form.add_item(ui.Label(text="How far to go from it, 0.05 to 1", component=strength))
    return form


@app_commands.command(description="Paint pictures from your words")
@app_commands.describe(
    prompt="What the picture shows",
    negative="What should not be there",
    style="Ready-made words around your own",
    model="Which model paints",
    seed="The same seed paints the same picture; leave it out for a new one",
    steps="How many steps: more is slower, and finer up to a point",
    guidance="How closely to follow the prompt",
    sampler="How each step is computed",
    width="Width in pixels",
    height="Height in pixels",
    count="How many pictures",
    image="A picture to start from",
    job="Or the number of a job to start from, from under its pictures",
    picture="Which of the job's pictures",
    strength="How far to go from that picture: 0.3 is a touch, 0.6 keeps the composition, 0.9 little of it",
    hires="Paint it once more this many times as wide and high, for finer details: 1.5 or 2",
    hires_strength="How much of it to paint anew then: 0.3 keeps it, 0.6 changes it",
    refine="Whether the model's refiner takes the last steps, where it has one",
    lora="LoRAs, each with its weight: ink:0.8, neon",
    control_image="A picture whose lines to follow",
    control="How to follow it",
    control_weight="How closely to follow it: 0 not at all, 1 as trained",
)
@app_commands.autocomplete(
    style=completions.styles,
    model=completions.models,
    sampler=completions.samplers,
    lora=completions.loras,
    control=completions.controls,
)
@app_commands.autocomplete(job=completions.jobs_with_pictures)
async def imagine(
    interaction: discord.Interaction,
    prompt: str,
    negative: str | None = None,
    style: str | None = None,
    model: str | None = None,
    seed: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    width: int | None = None,
    height: int | None = None,
    count: int | None = None,
    image: discord.Attachment | None = None,
    job: int | None = None,
    picture: app_commands.Range[int, 1, 4] | None = None,
    strength: float | None = None,
    hires: float | None = None,
    hires_strength: float | None = None,
    refine: bool | None = None,
    lora: str | None = None,
    control_image: discord.Attachment | None = None,
    control: str | None = None,
    control_weight: float | None = None,
) -> None:
    """/imagine."""
    wish = Wish(
        prompt=prompt,
        negative=negative,
        style=style,
        model=model,
        seed=seed,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        width=width,
        height=height,
        count=count,
        strength=strength,
        hires=hires,
        hires_strength=hires_strength,
        refine=refine,
        loras=lora,
        control=control,
        control_weight=control_weight,
    )
    source = await sources.of_options(interaction, image, job, picture)
    await _paint(interaction, wish, source, control_image)


async def _paint(
    interaction: discord.Interaction,
    wish: Wish,
    source: Source | None,
    control_image: discord.Attachment | None = None,
) -> None:
    admission = admission_of(interaction)
    pictures: dict[str, Posted | Input] = {}
    if source is not None:
        pictures["image"] = source.picture
    if control_image is not None:
        pictures["control_image"] = Posted.of(control_image)

    def build(image: Input | None = None, control_image: Input | None = None) -> Imagine:
        return settle(replace(wish, image=image, control_image=control_image), admission.ready)

    parent_id = None if source is None else source.parent_id
    await admission.submit_on(interaction, pictures, build, parent_id=parent_id)


async def vary(interaction: discord.Interaction, target: OfJob) -> None:
    """The V buttons."""
    job = await sources.job_of(interaction, target)
    admission = admission_of(interaction)
    count = min(VARIATIONS, admission.ready.max_count)
    await admission.submit(interaction, varied(asked(job, Imagine), target.index, new_seed(), count), job.id)


async def reroll(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Re-roll."""
    job = await sources.job_of(interaction, target)
    await admission_of(interaction).submit(interaction, rerolled(asked(job, Imagine)), job.id)


async def open_edit(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Edit."""
    await interaction.response.send_modal(edit_form(await sources.job_of(interaction, target)))


async def edit(interaction: discord.Interaction, target: OfJob, fields: Fields) -> None:
    """Its form."""
    job = await sources.job_of(interaction, target)
    admission = admission_of(interaction)
    await admission.submit(interaction, edited(asked(job, Imagine), fields, admission.ready), job.id)


@app_commands.context_menu(name="Reimagine")
async def reimagine_shown(interaction: discord.Interaction, message: discord.Message) -> None:
    """The menu of a message."""
    source = await sources.of_message(interaction, message, "reimagine")
    if source is None:
        return
    if source.made_by is not None:
        await open_reimagine(interaction, source.made_by)
    elif isinstance(source.picture, Posted):
        admission_of(interaction).seen.remember(message.id, source.picture)
        await interaction.response.send_modal(reimagine_form(OfMessage(message.id)))


async def open_reimagine(interaction: discord.Interaction, target: OfJob) -> None:
    """The buttons that say which of several pictures is meant."""
    job = await sources.job_of(interaction, target)
    prompt = job.request.prompt if isinstance(job.request, Imagine) else None
    await interaction.response.send_modal(reimagine_form(target, prompt))


async def reimagine(interaction: discord.Interaction, target: OfJob | OfMessage, fields: Fields) -> None:
    """Their form."""
    match target:
        case OfJob():
            source = await sources.of_target(interaction, target)
        case OfMessage():
            source = Source(admission_of(interaction).seen.of(target.id))
    strength = number("Strength", fields["strength"].strip())
    await _paint(interaction, Wish(prompt=fields["prompt"], strength=strength), source)


SLICE = Slice(
    kind="imagine",
    look=Looks(),
    commands=[imagine, reimagine_shown],
    presses={"vary": vary, "reroll": reroll, "edit": open_edit, "reimagine": open_reimagine},
    forms={"edit": Form((OfJob,), edit), "reimagine": Form((OfJob, OfMessage), reimagine)},
)
