"""/grid: pictures that differ in one or two things, as a table. Its options, its result card, its button."""

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
from bot.pictures.fitting import Shown
from bot.requests import adapters, grids
from bot.requests.painting import Wish
from inference.protocol import Grid

KIND = "grid"


class Looks:
    """How /grid's requests and results look."""

    def headline(self, request: Grid) -> str:
        """The prompt of the first cell, as the member wrote it."""
        return f"**{cards.plain(request.cells[0].prompt)}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The table."""
        request = asked(job, Grid)
        first = request.cells[0]
        labels = [", ".join(label for label in side if label) for side in (request.columns, request.rows)]
        said = " × ".join(cards.plain(label) for label in labels if label)
        facts = f"{len(request.cells)} pictures · seed {first.seed} · {first.width}x{first.height} · {request.model}"
        buttons = [JobButton("regrid", job.id, label="Re-roll"), cards.delete(job)]
        text = f"{self.headline(request)}\n{said}"
        return cards.result(job, text, facts, pictures, f"{first.prompt}: {' × '.join(labels)}", [buttons])


LOOK = Looks()


def build(admission: Admission) -> Slice:
    """The command and its button."""

    @app_commands.command(name="grid", description="Paint a table of pictures that differ in one or two things")
    @app_commands.describe(
        prompt="What the pictures show",
        x="What changes from left to right: steps 4, 8, 12",
        y="What changes from top to bottom: guidance 2, 5",
        negative="What should not be there",
        style="Ready-made words around your own",
        model="Which model paints",
        seed="The seed of all the pictures; leave it out for a new one",
        steps="How many steps",
        guidance="How closely to follow the prompt",
        sampler="How each step is computed",
        width="Width of each picture in pixels",
        height="Height of each picture in pixels",
    )
    async def grid(
        interaction: discord.Interaction,
        prompt: str,
        x: str,
        y: str | None = None,
        negative: str | None = None,
        style: str | None = None,
        model: str | None = None,
        seed: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
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
        )
        along = None if y is None else grids.parse(y)
        await admission.submit(interaction, grids.settle(wish, grids.parse(x), along, admission.ready))

    @grid.autocomplete("x")
    @grid.autocomplete("y")
    async def examples(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        model = sources.model_so_far(admission.ready, interaction)
        return sources.starting(grids.examples(adapters.fitting(admission.ready.loras, model)), typed)

    @grid.autocomplete("model")
    async def models(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(admission.ready.models, typed)

    @grid.autocomplete("style")
    async def styles(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.styles(admission.ready, interaction, typed)

    @grid.autocomplete("sampler")
    async def samplers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.samplers(admission.ready, interaction, typed)

    async def regrid(interaction: discord.Interaction, job: Job, _: int) -> None:
        request = grids.rerolled(asked(job, Grid))
        grids.check(request, admission.ready)
        await admission.submit(interaction, request, job.id)

    return Slice(commands=[grid], presses={"regrid": regrid})
