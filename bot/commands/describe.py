"""/describe: what a picture shows, in words and in places. Its options, its result card, its buttons, the menu."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import cards, sources
from bot.admission import Admission
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.job import Job, asked
from bot.pictures import attachments
from bot.pictures.fitting import Shown
from bot.requests import painting, tools
from bot.requests.painting import Wish
from inference.protocol import Describe, DescribeTask, Origin

KIND = "describe"

CAPTIONS: tuple[DescribeTask, ...] = ("caption", "detailed caption", "more detailed caption")
ALSO: tuple[tuple[DescribeTask, str], ...] = (
    ("detailed caption", "Caption"),
    ("detect objects", "Objects"),
    ("read text", "Text"),
)
"""What a result offers to ask next, and how its button says it; a button's index is the place here."""

ORIGINS: Mapping[Origin, str] = {
    "easel": "Made by Easel (invisible watermark).",
    "model": "Made by a model, as its file says.",
}

SHOWN_REGIONS = 20
ANSWER_CHARS = 1500


class Looks:
    """How /describe's requests and results look."""

    def headline(self, request: Describe) -> str:
        """The task, and what it is about."""
        about = f": {cards.plain(request.text)}" if request.text else ""
        return f"**{request.task.capitalize()}{about}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The answer in words, its places as a list, and the picture with them drawn in."""
        request = asked(job, Describe)
        lines = [self.headline(request)]
        if job.answer.text:
            lines.append(discord.utils.escape_mentions(discord.utils.escape_markdown(job.answer.text[:ANSWER_CHARS])))
        for number, region in enumerate(job.answer.regions[:SHOWN_REGIONS], start=1):
            left, top, right, bottom = (round(side) for side in region.box)
            lines.append(f"{number}. {cards.plain(region.label)} · {left}, {top} to {right}, {bottom}")
        if (more := len(job.answer.regions) - SHOWN_REGIONS) > 0:
            lines.append(f"and {more} more")
        if job.answer.origin in ORIGINS:
            lines.append(ORIGINS[job.answer.origin])
        facts = f"{request.image.width}x{request.image.height} · {request.model}"
        alt = job.answer.text or ", ".join(region.label for region in job.answer.regions)
        imagine = request.task in CAPTIONS and job.answer.text
        rows = [
            [
                *(
                    [JobButton("realise", job.id, label="Imagine this", style=discord.ButtonStyle.primary)]
                    * bool(imagine)
                ),
                *(
                    JobButton("also", job.id, place, label=label)
                    for place, (task, label) in enumerate(ALSO)
                    if task != request.task
                ),
                cards.delete(job),
            ]
        ]
        return cards.result(job, "\n".join(lines), facts, pictures, alt, rows)


LOOK = Looks()


def build(admission: Admission) -> Slice:
    """The command, the buttons and the menu."""

    @app_commands.command(name="describe", description="Say what a picture shows, read its text, find things in it")
    @app_commands.describe(
        image="The picture",
        job="Or the number of a job, from under its pictures",
        picture="Which of the job's pictures",
        task="What to ask about it",
        text="What to find or segment, or a caption whose phrases to ground",
        describer="Which model looks at it",
    )
    @app_commands.choices(task=[Choice(name=task, value=task) for task in get_args(DescribeTask)])
    async def describe(
        interaction: discord.Interaction,
        image: discord.Attachment | None = None,
        job: int | None = None,
        picture: app_commands.Range[int, 1, 4] | None = None,
        task: str | None = None,
        text: str | None = None,
        describer: str | None = None,
    ) -> None:
        # What to look for is task enough.
        chosen: DescribeTask = task or ("find" if text else "detailed caption")  # type: ignore[assignment]
        await sources.submit(
            admission,
            interaction,
            lambda taken: tools.describe(taken, admission.ready, task=chosen, text=text or "", describer=describer),
            image=image,
            job=job,
            picture=picture,
        )

    @describe.autocomplete("job")
    async def jobs(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
        return await sources.recent(admission, interaction, typed)

    @describe.autocomplete("describer")
    async def describers(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(admission.ready.describers, typed)

    async def press(interaction: discord.Interaction, job: Job, index: int) -> None:
        await sources.submit_on(
            admission, interaction, lambda taken: tools.describe(taken, admission.ready), job, index
        )

    async def also(interaction: discord.Interaction, job: Job, index: int) -> None:
        request = asked(job, Describe)
        task = ALSO[index % len(ALSO)][0]
        request = tools.describe(request.image, admission.ready, task=task, describer=request.model)
        await admission.submit(interaction, request, job.id)

    async def realise(interaction: discord.Interaction, job: Job, _: int) -> None:
        wish = Wish(prompt=job.answer.text[: admission.ready.max_prompt_chars])
        await admission.submit(interaction, painting.settle(wish, admission.ready), job.id)

    async def of_message(interaction: discord.Interaction, message: discord.Message) -> None:
        await admission.submit_uploads(
            interaction,
            {"image": attachments.first_picture(message)},
            lambda image: tools.describe(image, admission.ready),
        )

    menu = app_commands.ContextMenu(name="Describe", callback=of_message)
    return Slice(commands=[describe, menu], presses={"describe": press, "also": also, "realise": realise})
