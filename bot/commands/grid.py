"""/grid: pictures that differ in one or two things, as a table. Its options, its result card, its button."""

from __future__ import annotations

from collections.abc import Sequence

import discord
from discord import app_commands

from bot import cards, completions, permits, sources
from bot.admission import admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.job import Job, asked
from bot.pictures.fitting import Shown
from bot.requests import grids
from bot.requests.painting import Options, model_of
from bot.words import N_, say, say_many
from inference.protocol import Grid


class Looks:
    """How /grid's requests and results look."""

    def headline(self, request: Grid) -> str:
        """The prompt of the first cell, as the member wrote it."""
        return f"**{cards.plain(_words(request))}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The table."""
        request = asked(job, Grid)
        first = request.cells[0]
        labels = [", ".join(label for label in side if label) for side in request.headings]
        said = " × ".join(cards.plain(label) for label in labels if label)
        many = say_many("{count} picture", "{count} pictures", len(request.cells))
        sizes = _told(request, [f"{cell.width}x{cell.height}" for cell in request.cells])
        seed = say("seed {seed}", seed=first.seed) if _told(request, [str(cell.seed) for cell in request.cells]) else ""
        models = _told(request, [cell.model for cell in request.cells])
        hidden = say("what is compared is shown by Vote") if request.blind else ""
        facts = " · ".join(filter(None, (many, seed, sizes, models, hidden)))
        buttons = [
            JobButton("regrid", job.id, label=say("Re-roll")),
            *cards.stars(job, 1),
            cards.rate(job),
            cards.delete(job),
        ]
        text = f"{self.headline(request)}\n{said}"
        return cards.result(job, text, facts, pictures, f"{_words(request)}: {' × '.join(labels)}", [buttons])


def _words(request: Grid) -> str:
    """The prompt of the first cell, unless the prompts are what is compared blindly."""
    return request.cells[0].prompt if _told(request, [cell.prompt for cell in request.cells]) else say("A comparison")


def _told(request: Grid, of_cells: Sequence[str]) -> str:
    """What these are for the cells, each once; nothing where they differ and that is hidden."""
    differing = dict.fromkeys(of_cells)
    return "" if request.blind and len(differing) > 1 else ", ".join(differing)


@app_commands.command(description=N_("Paint a table of pictures that differ in one or two things"))
@app_commands.describe(
    prompt=N_("What the pictures show"),
    x=N_("What changes from left to right: steps 4, 8, 12"),
    y=N_("What changes from top to bottom: guidance 2, 5"),
    negative=N_("What should not be there"),
    style=N_("Ready-made words around your own"),
    model=N_("Which model paints"),
    seed=N_("The seed of all the pictures; leave it out for a new one"),
    steps=N_("How many steps"),
    guidance=N_("How closely to follow the prompt"),
    sampler=N_("How each step is computed"),
    width=N_("Width of each picture in pixels"),
    height=N_("Height of each picture in pixels"),
    blind=N_("Mix the pictures, and tell what differs to nobody who has not voted for the best"),
)
@app_commands.autocomplete(
    x=completions.axes,
    y=completions.axes,
    style=completions.styles,
    model=completions.models,
    sampler=completions.samplers,
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
    blind: bool = False,
) -> None:
    """/grid."""
    admission = admission_of(interaction)
    ready = permits.offers(interaction)
    across, down = grids.parse(x), None if y is None else grids.parse(y)
    chosen, of_one = model_of(model, ready), not grids.compares_models(across, down)
    # What was said once for all may be nothing for some of the models that are compared.
    if of_one or negative is not None:
        negative = permits.negative(interaction, negative, chosen)
    if of_one or style is not None:
        style = permits.policy(interaction).styled(style, chosen)
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
    )
    await admission.submit(interaction, grids.resolve(options, across, down, ready, blind=blind))


async def reroll(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Re-roll."""
    job = await sources.job_of(interaction, target)
    await admission_of(interaction).submit(interaction, grids.rerolled(asked(job, Grid)), job.id)


SLICE = Slice(kind="grid", look=Looks(), commands=[grid], presses={"regrid": reroll})
