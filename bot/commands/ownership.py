"""What every job's reply has: Cancel while it waits or runs, then Try again, Delete, and Original where it shrank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import discord

from bot import cards, sources
from bot.access import may_change, moderates
from bot.admission import Admission, admission_of
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.errors import MemberError, WorkFailed
from bot.job import Job
from bot.pictures.fitting import Shown
from bot.speaking import take_away, tell
from bot.words import say, say_many

FILES_PER_MESSAGE = 10
"""The most that Discord takes."""


async def cancel(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Cancel."""
    job = await sources.job_of(interaction, target)
    if not may_change(interaction, job) and not await moderates(interaction, job):
        raise MemberError("This is not your job: only its member or a moderator can cancel it.")
    # First it holds, then it is said.
    if not await admission_of(interaction).cancel(job):
        raise MemberError("This job has ended already: there is nothing left to cancel.")
    await interaction.response.defer()


async def again(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Try again."""
    job = await sources.job_of(interaction, target)
    sources.require_inputs(interaction, job)
    await admission_of(interaction).submit(interaction, job.request, job.id)


async def delete(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Delete."""
    admission = admission_of(interaction)
    if await admission.jobs.find(target.number) is None and _answers(interaction):
        # The message alone is left.
        await take_away(interaction)
        return
    job = await sources.job_of(interaction, target)
    if not may_change(interaction, job) and not await moderates(interaction, job):
        raise MemberError("These are not your pictures: only their member or a moderator can delete them.")
    await admission.delete(job, interaction.user.id)
    await take_away(interaction)
    # It may have been pressed on what was shown to its member alone.
    here = interaction.message is not None and interaction.message.id == job.reply.message_id
    if not here and not await admission.delivery.take_away(job):
        await tell(
            interaction,
            say("Job {job} is deleted, but its message could not be removed: ask a moderator to.", job=job.id),
        )


async def original(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Original."""
    job = await sources.job_of(interaction, target)
    admission = admission_of(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    for index in range(1, len(job.pictures) + 1):
        async with admission.workshop.turn(interaction.user.id) as folder:
            parts = await _parts_of(admission, job, index - 1, interaction.filesize_limit, folder)
            across = round(len(parts) ** 0.5)
            said = say("Picture {number} of #{job} without any loss", number=index, job=job.id)
            if len(parts) > 1:
                said = say_many(
                    "Picture {number} of #{job} without any loss in {count} row of {count} part",
                    "Picture {number} of #{job} without any loss in {count} rows of {count} parts, row by row",
                    across,
                    number=index,
                    job=job.id,
                )
            for start in range(0, len(parts), FILES_PER_MESSAGE):
                files = [
                    discord.File(
                        part.file,
                        filename=cards.file_name(job, index - 1, f"{index}-{number}.{part.suffix}"),
                        description=said,
                    )
                    for number, part in enumerate(parts[start : start + FILES_PER_MESSAGE], start=start + 1)
                ]
                await interaction.followup.send(said if start == 0 else "", files=files, ephemeral=True)


async def _parts_of(admission: Admission, job: Job, index: int, limit: int, folder: Path) -> Sequence[Shown]:
    try:
        return await admission.delivery.outgoing.parts(job, index, limit, folder)
    except FileNotFoundError as error:
        raise MemberError(
            "The picture is old and was removed: make it again with Try again, which keeps its seed."
        ) from error
    except WorkFailed as error:
        raise MemberError("The original could not be made ready: try again in a few minutes.") from error


def _answers(interaction: discord.Interaction) -> bool:
    """Whether the message that was pressed answers this member, or they look after the channel."""
    asked = interaction.message and interaction.message.interaction_metadata
    return interaction.permissions.manage_messages or bool(asked and asked.user.id == interaction.user.id)


SLICE = Slice(presses={"cancel": cancel, "again": again, "delete": delete, "original": original})
