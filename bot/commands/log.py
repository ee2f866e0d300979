"""The buttons of the log channel: Delete and Block member, for moderators, wherever the job was asked for."""

from __future__ import annotations

import discord

from bot import sources
from bot.admission import admission_of
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.speaking import tell
from bot.words import say


async def delete(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Delete."""
    job = await sources.moderated(interaction, target)
    admission = admission_of(interaction)
    await interaction.response.defer()
    await admission.delete(job, interaction.user.id)
    if not await admission.delivery.take_away(job):
        await tell(interaction, say("Job {job} is deleted, but its message could not be removed.", job=job.id))


async def block(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Block member: it does what /settings does, for those who may use that."""
    job = await sources.moderated(interaction, target)
    admission = admission_of(interaction)
    await admission.access.require(interaction, "settings")
    assert job.reply.guild_id is not None, "somebody moderates it"
    await admission.policies.block(job.reply.guild_id, job.reply.member_id, blocked=True, by=interaction.user.id)
    member = f"<@{job.reply.member_id}>"
    await tell(
        interaction, say("{member} can ask for nothing here any more: /settings lets them in again.", member=member)
    )


SLICE = Slice(presses={"logdelete": delete, "logblock": block})
