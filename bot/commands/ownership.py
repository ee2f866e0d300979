"""What every job's reply has: Cancel while it waits or runs, then Try again, Delete, and Original where it shrank."""

from __future__ import annotations

import asyncio
import io

import discord

from bot import axes, fitting, tools, wishes
from bot.access import may_change
from bot.admission import Admission
from bot.commands import Slice
from bot.errors import MemberError
from bot.job import Job
from bot.speaking import take_away
from inference.protocol import Grid, Imagine

FILES_PER_MESSAGE = 10
"""The most that Discord takes."""


def build(admission: Admission) -> Slice:
    """The buttons."""

    async def cancel(interaction: discord.Interaction, job: Job, _: int) -> None:
        if not may_change(interaction, job):
            raise MemberError("This is not your job: only its member or a moderator can cancel it.")
        # First it holds, then it is said.
        if not await admission.cancel(job):
            raise MemberError("This job has ended already: there is nothing left to cancel.")
        await interaction.response.defer()

    async def again(interaction: discord.Interaction, job: Job, _: int) -> None:
        # What ran once may not run here any more: models come and go.
        match job.request:
            case Imagine():
                wishes.check(job.request, admission.ready)
            case Grid():
                axes.check(job.request, admission.ready)
            case _:
                tools.check(job.request, admission.ready)
        await admission.submit(interaction, job.request, job.id)

    async def delete(interaction: discord.Interaction, job: Job, _: int) -> None:
        if not may_change(interaction, job):
            raise MemberError("These are not your pictures: only their member or a moderator can delete them.")
        await admission.delete(job)
        await take_away(interaction)

    async def original(interaction: discord.Interaction, job: Job, _: int) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        for index, picture in enumerate(await admission.jobs.picture_bytes(job), start=1):
            parts = await asyncio.to_thread(fitting.parts, picture, interaction.filesize_limit)
            files = [
                discord.File(io.BytesIO(part.data), filename=f"easel-{job.id}-{index}-{number}.{part.suffix}")
                for number, part in enumerate(parts, start=1)
            ]
            across = round(len(parts) ** 0.5)
            said = (
                f"Picture {index} of #{job.id}, without any loss"
                if len(parts) == 1
                else f"Picture {index} of #{job.id} without any loss, in {across} rows of {across} parts, row by row"
            )
            for start in range(0, len(files), FILES_PER_MESSAGE):
                await interaction.followup.send(
                    said if start == 0 else "", files=files[start : start + FILES_PER_MESSAGE], ephemeral=True
                )

    return Slice(presses={"cancel": cancel, "again": again, "delete": delete, "original": original})
