"""What every job's reply has: Cancel while it waits or runs, Delete when it has ended."""

from __future__ import annotations

import discord

from bot.commands import Slice
from bot.dispatcher import Dispatcher
from bot.errors import MemberError
from bot.jobs import Job


def may_change(interaction: discord.Interaction, job: Job) -> bool:
    """Whether this member may cancel or delete the job: it is theirs, or they look after the channel."""
    return interaction.user.id == job.reply.member_id or interaction.permissions.manage_messages


def build(dispatcher: Dispatcher) -> Slice:
    """The buttons."""

    async def cancel(interaction: discord.Interaction, job: Job, _: int) -> None:
        if not may_change(interaction, job):
            raise MemberError("This is not your job: only its member or a moderator can cancel it.")
        await interaction.response.defer()
        if not await dispatcher.cancel(job):
            raise MemberError("This job has ended already: there is nothing left to cancel.")

    async def delete(interaction: discord.Interaction, job: Job, _: int) -> None:
        if not may_change(interaction, job):
            raise MemberError("These are not your pictures: only their member or a moderator can delete them.")
        await interaction.response.defer()
        await dispatcher.jobs.delete(job.id)
        await interaction.delete_original_response()

    return Slice(presses={"cancel": cancel, "delete": delete})
