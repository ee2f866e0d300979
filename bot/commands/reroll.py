"""/reroll: run a job again by its number, however old it is."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import cards
from bot.commands import Slice
from bot.commands.imagine import CHOICES
from bot.dispatcher import Dispatcher
from bot.errors import MemberError
from bot.wishes import check, rerolled


def build(dispatcher: Dispatcher) -> Slice:
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
        found = await dispatcher.jobs.find(job) if 0 < job < 2**63 else None
        # A job of another server is none of this one's business.
        if found is None or found.reply.guild_id != interaction.guild_id:
            raise MemberError(f"There is no job {job} here: the number stands after the # under the pictures.")
        request = found.request if seed == "same" else rerolled(found.request)
        check(request, dispatcher.ready)
        await dispatcher.submit(interaction, request, found.id)

    @reroll.autocomplete("job")
    async def jobs(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
        recent = await dispatcher.jobs.recent_of(interaction.user.id)
        return [
            Choice(name=f"#{job.id} {cards.plain(job.request.prompt)}"[:100], value=job.id)
            for job in recent
            if str(typed) in f"{job.id} {job.request.prompt}" and job.reply.guild_id == interaction.guild_id
        ][:CHOICES]

    return Slice(commands=[reroll])
