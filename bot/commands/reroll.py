"""/reroll: paint a job again by its number, however old it is."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import completions, sources
from bot.admission import admission_of
from bot.commands import Slice
from bot.errors import MemberError
from bot.requests import grids, painting
from bot.words import N_
from inference.protocol import Grid, Imagine


@app_commands.command(description=N_("Paint a job again, with its own seed or a new one"))
@app_commands.describe(job=N_("The number under the pictures, without the #"), seed=N_("Which seed to paint from"))
@app_commands.choices(
    seed=[
        Choice(name=N_("the same seed: the same picture"), value="same"),
        Choice(name=N_("a new seed"), value="new"),
    ]
)
@app_commands.autocomplete(job=completions.jobs_that_paint)
async def reroll(interaction: discord.Interaction, job: int, seed: str = "same") -> None:
    """/reroll."""
    found = await sources.find(interaction, job)
    match found.request:
        case Imagine() as request:
            again: Imagine | Grid = request if seed == "same" else painting.rerolled(request)
        case Grid() as request:
            again = request if seed == "same" else grids.rerolled(request)
        case _:
            command = admission_of(interaction).command_of(found.request)
            raise MemberError(
                "Job {job} is of /{command}: /reroll is for /imagine and /grid.", job=job, command=command
            )
    await admission_of(interaction).submit(interaction, again, found.id)


SLICE = Slice(commands=[reroll])
