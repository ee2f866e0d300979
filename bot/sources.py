"""Where a command's picture comes from: an upload, a message, or what a job of this server made.

Numbers of jobs come from members, and so do custom_ids, which a changed client can forge: here it is decided what they
may see of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import discord

from bot import cards
from bot.access import may_see, moderates
from bot.admission import admission_of
from bot.custom_ids import OfJob
from bot.errors import MemberError
from bot.job import Job
from bot.pictures.posted import Posted
from bot.words import N_
from inference.protocol import Imagine, Input, because, logs

ONE_OF_BOTH = N_("Give either a picture as `image`, or the number of a job as `job`.")
NOT_SEEN = N_("This job was deleted, or is not to be seen here: ask for a new one with /imagine.")


@dataclass(frozen=True, slots=True)
class Source:
    """A picture to work on."""

    picture: Posted | Input
    made_by: OfJob | None = None
    """The job that made it, if one did, and which of its pictures it is."""

    @property
    def parent_id(self) -> int | None:
        """The number of that job."""
        return None if self.made_by is None else self.made_by.number


async def find(interaction: discord.Interaction, number: int) -> Job:
    """The job of a number that a member typed. Raises MemberError where they cannot see one here."""
    job = await admission_of(interaction).jobs.find(number)
    if job is None or not await may_see(interaction, job):
        raise MemberError(
            "There is no job {number} here: the number stands after the # under the pictures.", number=number
        )
    logs.turn_to(job.id)
    return job


async def job_of(interaction: discord.Interaction, target: OfJob) -> Job:
    """The job of a button or form. Raises MemberError where this member cannot see it here."""
    return await _seen(interaction, await admission_of(interaction).jobs.find(target.number))


async def moderated(interaction: discord.Interaction, target: OfJob) -> Job:
    """The job of a button that is for moderators alone, and not where the job was asked for. Raises MemberError for
    everybody else."""
    job = await admission_of(interaction).jobs.find(target.number)
    if job is None or not await moderates(interaction, job):
        raise MemberError(NOT_SEEN)
    return job


async def of_target(interaction: discord.Interaction, target: OfJob) -> Source:
    """The picture of a button or form. Raises MemberError where this member cannot see it here."""
    return _made(interaction, await job_of(interaction, target), target.index)


async def of_options(
    interaction: discord.Interaction, image: discord.Attachment | None, job: int | None, picture: int | None
) -> Source | None:
    """The picture that these options of a command name: an upload, or a job's, counted from 1; None where they name
    none. Raises MemberError where they do not go together, or where there is no such picture here."""
    if job is None and picture is not None:
        raise MemberError("`picture` says which of a job's pictures is meant: give the job's number as `job` as well.")
    if job is not None and image is not None:
        raise MemberError(ONE_OF_BOTH)
    if job is not None:
        return _made(interaction, await find(interaction, job), (picture or 1) - 1)
    return None if image is None else Source(Posted.of(image))


async def needed(
    interaction: discord.Interaction, image: discord.Attachment | None, job: int | None, picture: int | None
) -> Source:
    """The same, for a command that does nothing without. Raises MemberError where they name none as well."""
    source = await of_options(interaction, image, job, picture)
    if source is None:
        raise MemberError(ONE_OF_BOTH)
    return source


async def of_message(interaction: discord.Interaction, message: discord.Message, action: str) -> Source | None:
    """The picture that a message shows: of one that answers a job the job's own, as it is kept.

    None where a job has several: then the member has been asked which is meant, by buttons that do this action. Raises
    MemberError where the message shows no picture.
    """
    job = await job_shown(interaction, message)
    if job is None:
        return Source(admission_of(interaction).cdn.pictures_of(message)[0])
    if not job.pictures:
        raise MemberError("#{job} shows no picture of its own (yet): choose a message that does.", job=job.id)
    # Of all others a message shows the first.
    if len(job.pictures) > 1 and isinstance(job.request, Imagine):
        await interaction.response.send_message(view=cards.choice(job, action), ephemeral=True)
        return None
    return _made(interaction, job, 0)


async def job_shown(interaction: discord.Interaction, message: discord.Message) -> Job | None:
    """The job that a message answers, or whose answer it forwards; None where it does neither.

    Raises MemberError where it answers one that this member cannot see here.
    """
    jobs = admission_of(interaction).jobs
    if (job := await jobs.of_message(message.id)) is not None:
        return await _seen(interaction, job)
    origin = message.reference
    if origin is None or origin.type is not discord.MessageReferenceType.forward or origin.message_id is None:
        return None
    job = await jobs.of_message(origin.message_id)
    # What is not to be seen here is what the message itself shows of it, and no more.
    return job if job is not None and await may_see(interaction, job) else None


async def _seen(interaction: discord.Interaction, job: Job | None) -> Job:
    if job is None or not await may_see(interaction, job):
        raise MemberError(NOT_SEEN)
    logs.turn_to(job.id)
    return job


def require_inputs(interaction: discord.Interaction, job: Job) -> None:
    """Raise MemberError where what a job worked on has left the disk, so that it cannot be done once more."""
    jobs = admission_of(interaction).jobs
    if not all(jobs.path(image.sha256).is_file() for image in job.request.inputs if image.sha256):
        raise MemberError(
            "The picture that #{job} was made from is old and was removed: send its command with a new one.", job=job.id
        )


def _made(interaction: discord.Interaction, job: Job, index: int) -> Source:
    if not 0 <= index < len(job.pictures):
        raise MemberError.of(because("no_such_picture", job=job.id, count=len(job.pictures), number=index + 1))
    made = job.pictures[index]
    if not admission_of(interaction).jobs.path(made.sha256).is_file():
        raise MemberError(
            "The picture of #{job} is old and was removed: make it again with Try again, which keeps its seed.",
            job=job.id,
        )
    return Source(Input(made.sha256, made.width, made.height), OfJob(job.id, index))
