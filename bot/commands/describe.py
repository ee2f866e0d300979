"""/describe: what a picture shows, in words and in places. Its options, its result card, its buttons, the menu."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast, get_args

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import cards, completions, permits, sources
from bot.admission import admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.job import Job, asked
from bot.pictures.fitting import Shown
from bot.requests import painting, tools
from bot.requests.painting import Options
from bot.sources import Source
from bot.words import N_, say, say_many, spoken
from inference.protocol import CAPTION_TASKS, Describe, DescribeTask, Input, Origin

ALSO: tuple[tuple[DescribeTask, str], ...] = (
    ("detailed caption", N_("Caption")),
    ("detect objects", N_("Objects")),
    ("read text", N_("Text")),
)
"""What a result offers to ask next, and how its button says it; a button's index is the place here."""

ORIGINS: Mapping[Origin, str] = {
    "easel": N_("Made by Easel (invisible watermark)."),
    "model": N_("Made by a model, as its file says."),
}

SHOWN_REGIONS = 20


class Looks:
    """How /describe's requests and results look."""

    def headline(self, request: Describe) -> str:
        """The task, and what it is about."""
        task = say(request.task)
        about = f": {cards.plain(request.text)}" if request.text else ""
        return f"**{task[:1].upper()}{task[1:]}{about}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The answer in words, its places as a list, and the picture with them drawn in."""
        request = asked(job, Describe)
        lines = [self.headline(request)]
        if said := cards.found(job):
            lines.append(said)
        for number, region in enumerate(job.answer.regions[:SHOWN_REGIONS], start=1):
            left, top, right, bottom = (round(side) for side in region.box)
            line = say(
                "{label} · {left}, {top} to {right}, {bottom}",
                label=cards.plain(region.label),
                left=left,
                top=top,
                right=right,
                bottom=bottom,
            )
            lines.append(f"{number}. {line}")
        if (more := len(job.answer.regions) - SHOWN_REGIONS) > 0:
            lines.append(say_many("and {count} more", "and {count} more", more))
        if job.answer.origin in ORIGINS:
            lines.append(say(ORIGINS[job.answer.origin]))
        facts = f"{request.image.width}x{request.image.height} · {request.model}"
        alt = said or ", ".join(region.label for region in job.answer.regions)
        imagine = request.task in CAPTION_TASKS and job.answer.text
        rows = [
            [
                *(
                    [JobButton("realise", job.id, label=say("Imagine this"), style=discord.ButtonStyle.primary)]
                    * bool(imagine)
                ),
                *(
                    JobButton("also", job.id, place, label=say(label))
                    for place, (task, label) in enumerate(ALSO)
                    if task != request.task
                ),
                cards.delete(job),
            ]
        ]
        return cards.result(job, "\n".join(lines), facts, pictures, alt, rows)


@app_commands.command(description=N_("Say what a picture shows, read its text, find things in it"))
@app_commands.describe(
    image=N_("The picture"),
    job=N_("Or the number of a job, from under its pictures"),
    picture=N_("Which of the job's pictures"),
    task=N_("What to ask about it"),
    text=N_("What to find or segment, or a caption whose phrases to ground"),
    describer=N_("Which model looks at it"),
)
@app_commands.choices(task=[Choice(name=task, value=task) for task in get_args(DescribeTask)])
@app_commands.autocomplete(describer=completions.describers)
@app_commands.autocomplete(job=completions.jobs_with_pictures)
async def describe(
    interaction: discord.Interaction,
    image: discord.Attachment | None = None,
    job: int | None = None,
    picture: app_commands.Range[int, 1, 4] | None = None,
    task: str | None = None,
    text: str | None = None,
    describer: str | None = None,
) -> None:
    """/describe."""
    # What to look for is task enough.
    chosen = cast(DescribeTask, task or ("find" if text else "detailed caption"))
    await _ask(interaction, await sources.needed(interaction, image, job, picture), chosen, text, describer)


async def ask(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Describe."""
    await _ask(interaction, await sources.of_target(interaction, target))


@app_commands.context_menu(name=N_("Describe"))
async def ask_of_shown(interaction: discord.Interaction, message: discord.Message) -> None:
    """The menu of a message."""
    if (source := await sources.of_message(interaction, message, "describe")) is not None:
        await _ask(interaction, source)


async def _ask(
    interaction: discord.Interaction,
    source: Source,
    task: DescribeTask = "detailed caption",
    text: str | None = None,
    describer: str | None = None,
) -> None:
    admission = admission_of(interaction)

    def build(image: Input) -> Describe:
        return tools.describe(
            image, admission.ready, task=task, text=text or "", describer=describer, language=spoken()
        )

    await admission.submit_on(interaction, {"image": source.picture}, build, parent_id=source.parent_id)


async def ask_more(interaction: discord.Interaction, target: OfJob) -> None:
    """The buttons that ask something else of the same picture."""
    job = await sources.job_of(interaction, target)
    admission, before = admission_of(interaction), asked(job, Describe)
    task, _ = ALSO[target.index % len(ALSO)]
    request = tools.describe(before.image, admission.ready, task=task, describer=before.model, language=spoken())
    await admission.submit(interaction, request, job.id)


async def imagine(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Imagine this."""
    job = await sources.job_of(interaction, target)
    admission = admission_of(interaction)
    ready = permits.offers(interaction)
    options = Options(prompt=job.answer.text[: ready.max_prompt_chars])
    await admission.submit(interaction, painting.resolve(options, ready), job.id)


SLICE = Slice(
    kind="describe",
    look=Looks(),
    commands=[describe, ask_of_shown],
    presses={"describe": ask, "also": ask_more, "realise": imagine},
)
