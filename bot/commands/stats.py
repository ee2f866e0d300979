"""/stats: what a server's jobs come to, and how good its models are. Its option; how it looks is in `panels.stats`."""

from __future__ import annotations

import asyncio
import logging

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import measured as measurements
from bot.admission import admission_of
from bot.commands import Slice
from bot.errors import MemberError, WorkFailed
from bot.panels import stats as panel
from bot.pictures import charts
from bot.posting import attached
from bot.words import N_

log = logging.getLogger(__name__)


@app_commands.command(description=N_("What this server asked for: jobs, models, waits, failures, and your own place"))
@app_commands.describe(period=N_("The time to count; 7 days if you leave it out"))
@app_commands.choices(period=[Choice(name=title, value=name) for name, (title, *_) in panel.PERIODS.items()])
@app_commands.guild_only()
async def stats(interaction: discord.Interaction, period: str = "week") -> None:
    """/stats."""
    if interaction.guild_id is None:
        raise MemberError("These are numbers of a server: send /stats in one.")
    await interaction.response.defer(ephemeral=True, thinking=True)
    admission = admission_of(interaction)
    _, width_s, parts = panel.PERIODS[period]
    counted = await admission.jobs.counting.of_server(
        interaction.guild_id, interaction.user.id, width_s=width_s, parts=parts
    )
    thought = await admission.jobs.ratings.of_server(interaction.guild_id)
    measured = await asyncio.to_thread(measurements.read, admission.jobs.pictures.data)
    moderates = interaction.permissions.manage_messages
    with admission.workshop.desk() as folder:
        try:
            picture = await admission.workshop.lists.run(charts.draw, panel.chart(counted, period), folder)
        except (WorkFailed, OSError) as error:
            # The numbers stand in words as well.
            log.warning("a chart could not be drawn: %s", error)
            picture = None
        card = panel.card(counted, period, picture, moderates=moderates, thought=thought, measured=measured)
        await interaction.followup.send(
            view=card.view, files=attached(card), ephemeral=True, allowed_mentions=discord.AllowedMentions.none()
        )


SLICE = Slice(commands=[stats])
