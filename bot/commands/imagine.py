"""/imagine: pictures from words. Its options, its result card, its buttons and its Edit form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, completions, forms, paintings, permits, sources
from bot.admission import admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Fields, Form, Slice
from bot.custom_ids import OfJob, OfMessage
from bot.job import Job, asked
from bot.pictures.fitting import Shown
from bot.pictures.posted import Posted
from bot.requests.numbers import number
from bot.requests.painting import STRENGTH, Options, edited, model_of, new_seed, rerolled, resolve, varied
from bot.sources import Source
from bot.words import N_, say
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
                JobButton(action, job.id, index, label=say(label, number=index + 1), style=style)
                for index in range(len(pictures))
            ]
            for action, label, style in (
                ("upscale", N_("U{number}"), discord.ButtonStyle.secondary),
                ("vary", N_("V{number}"), discord.ButtonStyle.primary),
            )
        )
        edges = [JobButton("compare", job.id, label=say("Show edges"))] if request.controls else []
        stars = [*cards.stars(job, len(pictures)), cards.rate(job)]
        # Who shows no sampler shows no noise either, of which variations are made.
        varied_from = [vary] if request.sampler else []
        painted = [[*upscale, *stars], *varied_from] if len(pictures) == 1 else [upscale, *varied_from, stars]
        more = [JobButton("reroll", job.id, label=say("Re-roll")), _edit(job), *edges, cards.delete(job)]
        text = "\n".join([self.headline(request), *paintings.drawn(request, job)])
        return cards.result(job, text, paintings.facts(request), pictures, request.prompt, [*painted, more])


def _edit(job: Job) -> JobButton:
    return JobButton("edit", job.id, label=say("Edit"))


def edit_form(job: Job) -> ui.Modal:
    """The Edit form of a job, filled in with its request."""
    request = asked(job, Imagine)
    form = forms.form(say("Edit #{job}", job=job.id), "edit", OfJob(job.id))
    long, short = discord.TextStyle.paragraph, discord.TextStyle.short
    for name, label, value, style, length in (
        ("prompt", say("Prompt"), request.prompt, long, 4000),
        ("negative", say("Negative prompt: what should not be there"), request.negative, long, 4000),
        ("seed", say("Seed (empty for a new one)"), str(request.seed), short, 40),
        ("size", say("Size, as width x height"), f"{request.width}x{request.height}", short, 20),
        ("steps", say("Steps"), str(request.steps), short, 10),
    ):
        field: ui.TextInput[Any] = ui.TextInput(
            custom_id=name, default=value or None, style=style, max_length=length, required=name == "prompt"
        )
        forms.ask(form, label, field)
    return form


def reimagine_form(target: OfJob | OfMessage, prompt: str | None = None) -> ui.Modal:
    """The form that asks what to make of a picture."""
    form = forms.form(say("Reimagine"), "reimagine", target)
    words: ui.TextInput[Any] = ui.TextInput(
        custom_id="prompt", default=prompt, style=discord.TextStyle.paragraph, max_length=4000
    )
    strength: ui.TextInput[Any] = ui.TextInput(
        custom_id="strength", default=f"{STRENGTH:g}", max_length=10, required=False
    )
    forms.ask(form, say("What it shall become"), words)
    forms.ask(form, say("How far to go from it, 0.05 to 1"), strength)
    return form


@app_commands.command(description=N_("Paint pictures from your words"))
@app_commands.describe(
    prompt=N_("What the picture shows"),
    negative=N_("What should not be there"),
    style=N_("Ready-made words around your own"),
    model=N_("Which model paints"),
    seed=N_("The same seed paints the same picture; leave it out for a new one"),
    steps=N_("How many steps: more is slower, and finer up to a point"),
    guidance=N_("How closely to follow the prompt"),
    sampler=N_("How each step is computed"),
    width=N_("Width in pixels"),
    height=N_("Height in pixels"),
    count=N_("How many pictures"),
    image=N_("A picture to start from"),
    job=N_("Or the number of a job to start from, from under its pictures"),
    picture=N_("Which of the job's pictures"),
    strength=N_("How far to go from that picture: 0.3 is a touch, 0.6 keeps the composition, 0.9 little of it"),
    hires=N_("Paint it once more this many times as wide and high, for finer details: 1.5 or 2"),
    hires_strength=N_("How much of it to paint anew then: 0.3 keeps it, 0.6 changes it"),
    refine=N_("Whether the model's refiner takes the last steps, where it has one"),
    lora=N_("LoRAs, each with its weight: ink:0.8, neon"),
    control_image=N_("A picture whose lines to follow"),
    control_image2=N_("Another picture to follow at the same time"),
    control=N_("How to follow it; of two pictures, or of one in two ways: canny:0.8, depth"),
    control_weight=N_("How closely to follow it: 0 not at all, 1 as trained"),
    clip_skip=N_("Which of the text encoder's layers, from its end, is read: 2 for most models of anime"),
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
    control_image2: discord.Attachment | None = None,
    control: str | None = None,
    control_weight: float | None = None,
    clip_skip: int | None = None,
) -> None:
    """/imagine."""
    options = Options(
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
        clip_skip=clip_skip,
    )
    source = await sources.of_options(interaction, image, job, picture)
    await _paint(interaction, options, source, {"control_image": control_image, "control_image2": control_image2})


async def _paint(
    interaction: discord.Interaction,
    options: Options,
    source: Source | None,
    followed: Mapping[str, discord.Attachment | None] | None = None,
) -> None:
    admission = admission_of(interaction)
    pictures: dict[str, Posted | Input] = {}
    if source is not None:
        pictures["image"] = source.picture
    pictures |= {name: Posted.of(given) for name, given in (followed or {}).items() if given is not None}

    ready = permits.offers(interaction)
    model = model_of(options.model, ready)
    style = permits.policy(interaction).styled(options.style, model)
    negative = permits.negative(interaction, options.negative, model)

    def build(
        image: Input | None = None, control_image: Input | None = None, control_image2: Input | None = None
    ) -> Imagine:
        given = replace(options, style=style, negative=negative, image=image)
        return resolve(replace(given, control_image=control_image, control_image2=control_image2), ready)

    parent_id = None if source is None else source.parent_id
    await admission.submit_on(interaction, pictures, build, parent_id=parent_id)


async def vary(interaction: discord.Interaction, target: OfJob) -> None:
    """The V buttons."""
    job = await sources.job_of(interaction, target)
    admission = admission_of(interaction)
    count = min(VARIATIONS, permits.offers(interaction).max_count)
    request = varied(asked(job, Imagine), target.index, new_seed(), count, job.answer.drawn)
    await admission.submit(interaction, request, job.id)


async def reroll(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Re-roll."""
    job = await sources.job_of(interaction, target)
    await admission_of(interaction).submit(interaction, rerolled(asked(job, Imagine)), job.id)


async def open_edit(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Edit."""
    job = await sources.job_of(interaction, target)
    await permits.require(interaction, "imagine")
    await interaction.response.send_modal(edit_form(job))


async def edit(interaction: discord.Interaction, target: OfJob, fields: Fields) -> None:
    """Its form."""
    job = await sources.job_of(interaction, target)
    admission = admission_of(interaction)
    await admission.submit(interaction, edited(asked(job, Imagine), fields, permits.offers(interaction)), job.id)


@app_commands.context_menu(name=N_("Reimagine"))
async def reimagine_shown(interaction: discord.Interaction, message: discord.Message) -> None:
    """The menu of a message."""
    await permits.require(interaction, "imagine")
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
    await permits.require(interaction, "imagine")
    prompt = job.request.prompt if isinstance(job.request, Imagine) else None
    await interaction.response.send_modal(reimagine_form(target, prompt))


async def reimagine(interaction: discord.Interaction, target: OfJob | OfMessage, fields: Fields) -> None:
    """Their form."""
    match target:
        case OfJob():
            source = await sources.of_target(interaction, target)
        case OfMessage():
            source = Source(admission_of(interaction).seen.of(target.id))
    strength = number(fields["strength"].strip(), N_("Strength {typed} is not a number: write one like 0.6."))
    await _paint(interaction, Options(prompt=fields["prompt"], strength=strength), source)


SLICE = Slice(
    kind="imagine",
    look=Looks(),
    commands=[imagine, reimagine_shown],
    presses={"vary": vary, "reroll": reroll, "edit": open_edit, "reimagine": open_reimagine},
    forms={"edit": Form((OfJob,), edit), "reimagine": Form((OfJob, OfMessage), reimagine)},
)
