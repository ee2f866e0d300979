"""/edit: a part of a picture painted anew or, by models that can, all of it changed as the words say. Its options, the
mask to look at first, its buttons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import discord
from discord import app_commands
from discord.app_commands import Choice
from msgspec import structs

from bot import cards, completions, permits, sources
from bot.admission import admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.errors import MemberError
from bot.job import Job, asked
from bot.pictures import masks
from bot.pictures.decoding import Upload
from bot.pictures.fitting import Shown
from bot.pictures.posted import Posted
from bot.requests import painting, tools
from bot.requests.drafts import Build
from bot.requests.painting import Options
from bot.words import N_, say
from inference.protocol import Imagine, Input, Mask


class Looks:
    """How a mask looks before anything is painted."""

    def headline(self, request: Mask) -> str:
        """What is looked for or marked, and what shall become of it."""
        meant = cards.plain(request.text) if request.drawn is None else say("your mask")
        return f"**{meant}** → {cards.plain(request.edit.prompt)}"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The picture with what will be painted tinted, and how the mask can be changed."""
        request = asked(job, Mask)
        if not pictures:
            return cards.result(job, cards.found(job), request.model, [], "", [[cards.delete(job)]])
        go = JobButton("paint", job.id, label=say("Go"), style=discord.ButtonStyle.primary)
        changes = [
            JobButton(action, job.id, label=label)
            for action, label in (("grow", say("Grow")), ("shrink", say("Shrink")), ("invert", say("Invert")))
        ]
        text = "\n".join((self.headline(request), say("What is tinted will be painted anew.")))
        alt = request.text if request.drawn is None else request.edit.prompt
        return cards.result(job, text, request.model, pictures[:1], alt, [[go, *changes, cards.delete(job)]])


@app_commands.command(description=N_("Paint a part of a picture anew, or change the picture as you say"))
@app_commands.describe(
    prompt=N_("What the new part shows; for a model that edits by instruction, what to do to the picture"),
    image=N_("The picture"),
    job=N_("Or the number of a job, from under its pictures"),
    picture=N_("Which of the job's pictures"),
    what=N_("What to replace: the cat. You see what is meant before anything is painted"),
    mask=N_("Or a picture that is white where it shall be painted. You see it first"),
    extend=N_("Or room at a side, to be filled"),
    strength=N_("How much of the old part may go: 1 is all of it"),
    negative=N_("What should not be there"),
    model=N_("Which model paints"),
    seed=N_("The same seed paints the same; leave it out for a new one"),
    count=N_("How many pictures"),
    lora=N_("LoRAs, each with its weight: ink:0.8, neon"),
    reference=N_("For a model that edits by instruction: another picture that your words speak of"),
    reference2=N_("One more of them"),
    reference3=N_("And a third"),
)
@app_commands.choices(extend=[Choice(name=side, value=side) for side in masks.SIDES])
@app_commands.autocomplete(model=completions.editors, lora=completions.loras)
@app_commands.autocomplete(job=completions.jobs_with_pictures)
async def edit(
    interaction: discord.Interaction,
    prompt: str,
    image: discord.Attachment | None = None,
    job: int | None = None,
    picture: app_commands.Range[int, 1, 4] | None = None,
    what: str | None = None,
    mask: discord.Attachment | None = None,
    extend: str | None = None,
    strength: float | None = None,
    negative: str | None = None,
    model: str | None = None,
    seed: str | None = None,
    count: int | None = None,
    lora: str | None = None,
    reference: discord.Attachment | None = None,
    reference2: discord.Attachment | None = None,
    reference3: discord.Attachment | None = None,
) -> None:
    """/edit."""
    if sum(way is not None for way in (what, mask, extend)) > 1:
        raise MemberError("Say in one way which part is meant: `what`, `mask` or `extend`.")
    source = await sources.needed(interaction, image, job, picture)
    admission = admission_of(interaction)
    ready = permits.offers(interaction)
    chosen = painting.model_of(model, ready)
    options = Options(
        prompt=prompt,
        negative=permits.negative(interaction, negative, chosen),
        model=model,
        seed=seed,
        count=count,
        strength=strength,
        loras=lora,
    )
    # Who is told what to do to a picture need not be told where.
    instructed = chosen.references > 0

    def build(image: Input, mask: Input | None = None, **others: Input) -> Imagine | Mask:
        in_part = what is not None or mask is not None
        if chosen.fills and not in_part:
            # Until the picture has been read, from which it comes: of its size, that much is known.
            mask = Input("", image.width, image.height)
        edited = painting.edit(options, image, mask, others.values(), ready, in_part=in_part)
        return edited if what is None else tools.mask(image, ready, what, edited)

    async def prepare(
        folder: Path, image: Upload, mask: Upload | None = None, **others: Upload
    ) -> Mapping[str, Upload]:
        needed = not instructed
        prepared = await admission.workshop.uploads.run(masks.prepare, folder, image, mask, extend, needed)
        return {**prepared, **others}

    pictures: dict[str, Posted | Input] = {"image": source.picture}
    for number, other in enumerate((reference, reference2, reference3)):
        if other is not None:
            pictures[f"reference{number}"] = Posted.of(other)
    if mask is not None:
        # It is brought to its picture's size when it is read.
        pictures["mask"] = replace(Posted.of(mask), width=source.picture.width, height=source.picture.height)
    await admission.submit_on(
        interaction,
        pictures,
        # Masks mean one thing to one program and another to the next.
        build if mask is None else partial(_seen_first, build),
        prepare=prepare if what is None else None,
        parent_id=source.parent_id,
    )


def _seen_first(build: Build, **pictures: Input) -> Mask:
    """The mask of what is asked for, to be looked at before anything is painted."""
    edited = build(**pictures)
    assert isinstance(edited, Imagine)
    return tools.drawn(edited)


async def grow(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Grow."""
    job = await sources.job_of(interaction, target)
    await _change(interaction, job, grow=asked(job, Mask).grow + 1)


async def shrink(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Shrink."""
    job = await sources.job_of(interaction, target)
    await _change(interaction, job, grow=asked(job, Mask).grow - 1)


async def invert(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Invert."""
    job = await sources.job_of(interaction, target)
    await _change(interaction, job, invert=not asked(job, Mask).invert)


async def paint(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Go."""
    job = await sources.job_of(interaction, target)
    request, made = asked(job, Mask), job.pictures[1]
    edited = structs.replace(request.edit, mask=Input(made.sha256, made.width, made.height))
    await admission_of(interaction).submit(interaction, edited, job.id)


async def _change(interaction: discord.Interaction, job: Job, **changes: object) -> None:
    request = structs.replace(asked(job, Mask), **changes)
    await admission_of(interaction).submit(interaction, request, job.id)


SLICE = Slice(
    kind="mask",
    look=Looks(),
    command="edit",
    commands=[edit],
    presses={"grow": grow, "shrink": shrink, "invert": invert, "paint": paint},
)
