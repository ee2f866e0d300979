"""/upscale: a picture larger. Its options, its result card, the U buttons under pictures, the menu of every message."""

from __future__ import annotations

from collections.abc import Sequence

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
from bot.requests import tools
from inference.protocol import FACTORS, Upscale

KIND = "upscale"


class Looks:
    """How /upscale's requests and results look."""

    def headline(self, request: Upscale) -> str:
        """From which size to which."""
        image, factor = request.image, request.factor
        return f"**{image.width}x{image.height} → {image.width * factor}x{image.height * factor}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The enlarged picture."""
        request = asked(job, Upscale)
        denoise = "" if request.denoise is None else f" · denoise {request.denoise:g}"
        facts = f"{request.factor}x · {request.model}{denoise}"
        text = self.headline(request)
        return cards.result(job, text, facts, pictures, text.strip("*"), [[*_describe(job), cards.delete(job)]])


def _describe(job: Job) -> list[JobButton]:
    return [JobButton("describe", job.id, label="Describe")]


LOOK = Looks()


def build(admission: Admission) -> Slice:
    """The command, the buttons and the menu."""

    @app_commands.command(name="upscale", description="Make a picture larger, and finer where it was coarse")
    @app_commands.describe(
        image="The picture",
        job="Or the number of a job, from under its pictures",
        picture="Which of the job's pictures",
        factor="How many times as wide and high",
        upscaler="Which upscaler",
        denoise="How much of the picture's grain to smooth away, 0 to 1 (some upscalers only)",
    )
    @app_commands.choices(factor=[Choice(name=f"{factor}x", value=factor) for factor in FACTORS])
    async def upscale(
        interaction: discord.Interaction,
        image: discord.Attachment | None = None,
        job: int | None = None,
        picture: app_commands.Range[int, 1, 4] | None = None,
        factor: int | None = None,
        upscaler: str | None = None,
        denoise: app_commands.Range[float, 0.0, 1.0] | None = None,
    ) -> None:
        await sources.submit(
            admission,
            interaction,
            lambda taken: tools.upscale(taken, admission.ready, upscaler=upscaler, factor=factor, denoise=denoise),
            image=image,
            job=job,
            picture=picture,
        )

    @upscale.autocomplete("job")
    async def jobs(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
        return await sources.recent(admission, interaction, typed)

    @upscale.autocomplete("upscaler")
    async def upscalers(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(admission.ready.upscalers, typed)

    async def press(interaction: discord.Interaction, job: Job, index: int) -> None:
        await sources.submit_on(admission, interaction, lambda taken: tools.upscale(taken, admission.ready), job, index)

    async def of_message(interaction: discord.Interaction, message: discord.Message) -> None:
        await admission.submit_uploads(
            interaction,
            {"image": attachments.first_picture(message)},
            lambda image: tools.upscale(image, admission.ready),
        )

    menu = app_commands.ContextMenu(name="Upscale", callback=of_message)
    return Slice(commands=[upscale, menu], presses={"upscale": press})
