"""/upscale: a picture larger. Its options, its result card, the U buttons under pictures, the menu of every message."""

from __future__ import annotations

from collections.abc import Sequence

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import cards, completions, sources
from bot.admission import admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.job import Job, asked
from bot.pictures.fitting import Shown
from bot.requests import tools
from bot.sources import Source
from bot.words import N_, say
from inference.protocol import FACTORS, Input, Upscale


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
        denoise = [] if request.denoise is None else [say("denoise {denoise}", denoise=request.denoise)]
        faces = [] if request.faces is None else [say("faces by {restorer}", restorer=request.faces)]
        facts = " · ".join([f"{request.factor}x", request.model, *denoise, *faces])
        text = self.headline(request)
        buttons = [*_describe(job), *cards.stars(job, 1), cards.rate(job), cards.delete(job)]
        return cards.result(job, text, facts, pictures, text.strip("*"), [buttons])


def _describe(job: Job) -> list[JobButton]:
    return [JobButton("describe", job.id, label=say("Describe"))]


@app_commands.command(description=N_("Make a picture larger, and finer where it was coarse"))
@app_commands.describe(
    image=N_("The picture"),
    job=N_("Or the number of a job, from under its pictures"),
    picture=N_("Which of the job's pictures"),
    factor=N_("How many times as wide and high"),
    upscaler=N_("Which upscaler"),
    denoise=N_("How much of the picture's grain to smooth away, 0 to 1 (some upscalers only)"),
    faces=N_("What makes the faces anew"),
)
@app_commands.choices(factor=[Choice(name=f"{factor}x", value=factor) for factor in FACTORS])
@app_commands.autocomplete(upscaler=completions.upscalers)
@app_commands.autocomplete(faces=completions.restorers)
@app_commands.autocomplete(job=completions.jobs_with_pictures)
async def upscale(
    interaction: discord.Interaction,
    image: discord.Attachment | None = None,
    job: int | None = None,
    picture: app_commands.Range[int, 1, 4] | None = None,
    factor: int | None = None,
    upscaler: str | None = None,
    denoise: app_commands.Range[float, 0.0, 1.0] | None = None,
    faces: str | None = None,
) -> None:
    """/upscale."""
    source = await sources.needed(interaction, image, job, picture)
    await _enlarge(interaction, source, upscaler, factor, denoise, faces)


async def enlarge(interaction: discord.Interaction, target: OfJob) -> None:
    """The U buttons."""
    await _enlarge(interaction, await sources.of_target(interaction, target))


@app_commands.context_menu(name=N_("Upscale"))
async def enlarge_shown(interaction: discord.Interaction, message: discord.Message) -> None:
    """The menu of a message."""
    if (source := await sources.of_message(interaction, message, "upscale")) is not None:
        await _enlarge(interaction, source)


async def _enlarge(
    interaction: discord.Interaction,
    source: Source,
    upscaler: str | None = None,
    factor: int | None = None,
    denoise: float | None = None,
    faces: str | None = None,
) -> None:
    admission = admission_of(interaction)

    def build(image: Input) -> Upscale:
        return tools.upscale(image, admission.ready, upscaler=upscaler, factor=factor, denoise=denoise, faces=faces)

    await admission.submit_on(interaction, {"image": source.picture}, build, parent_id=source.parent_id)


SLICE = Slice(
    kind="upscale",
    look=Looks(),
    commands=[upscale, enlarge_shown],
    presses={"upscale": enlarge},
)
