"""/reroll: run a job again by its number, however old it is."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import cards
from bot.commands import Slice
from bot.commands.imagine import CHOICE_CHARS, CHOICES
from bot.dispatcher import Dispatcher
from bot.errors import MemberError
from bot.jobs import Job
from bot.wishes import check, rerolled


def may_see(interaction: discord.Interaction, job: Job) -> bool:
    """Whether a job may be shown here to this member: it is of this server, and of a channel that they can read."""
    if job.reply.guild_id != interaction.guild_id:
        return False
    if job.reply.member_id == interaction.user.id:
        return True
    if interaction.guild is None or not isinstance(interaction.user, discord.Member):
        return False
    channel = interaction.guild.get_channel_or_thread(job.reply.channel_id)
    return channel is not None and channel.permissions_for(interaction.user).read_messages


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
        if found is None or not may_see(interaction, found):
            raise MemberError(f"There is no job {job} here: the number stands after the # under the pictures.")
        request = found.request if seed == "same" else rerolled(found.request)
        check(request, dispatcher.ready)
        await dispatcher.submit(interaction, request, found.id)

    @reroll.autocomplete("job")
    async def jobs(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
        recent = await dispatcher.jobs.recent_of(interaction.user.id)
        return [
            Choice(name=cards.shorten(f"#{job.id} {job.request.prompt}", CHOICE_CHARS), value=job.id)
            for job in recent
            if str(typed) in f"{job.id} {job.request.prompt}" and may_see(interaction, job)
        ][:CHOICES]

    return Slice(commands=[reroll])
