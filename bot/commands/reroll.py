"""/reroll: run a job again by its number, however old it is."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import sources
from bot.admission import Admission
from bot.commands import Slice
from bot.errors import MemberError
from bot.requests.painting import check, rerolled
from inference.protocol import Imagine


def build(admission: Admission) -> Slice:
    """The command."""

    @app_commands.command(name="reroll", description="Paint a job again, with its own seed or a new one")
    @app_commands.describe(job="The number under the pictures, without the #", seed="Which seed to paint from")
    @app_commands.choices(
        seed=[
            Choice(name="the same seed: the same picture", value="same"),
            Choice(name="a new seed", value="new"),
        ]
    )
    async def reroll(interaction: discord.Interaction, job: int, seed: str = "same") -> None:
        found = await sources.find(admission, interaction, job)
        if not isinstance(found.request, Imagine):
            raise MemberError(f"Job {job} painted nothing: /reroll is for the pictures of /imagine.")
        request = found.request if seed == "same" else rerolled(found.request)
        check(request, admission.ready)
        await admission.submit(interaction, request, found.id)

    @reroll.autocomplete("job")
    async def jobs(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
        return await sources.recent(admission, interaction, typed, kind="imagine")

    return Slice(commands=[reroll])
