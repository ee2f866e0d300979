"""/rate, and the buttons Rate and Vote under pictures: how good a picture is, and which of several is the best."""

from __future__ import annotations

from collections.abc import Sequence

import discord
from discord import app_commands
from discord.app_commands import Choice

from bot import completions, permits, sources
from bot.access import where_of
from bot.admission import admission_of
from bot.commands import Slice
from bot.custom_ids import OfJob, OfWord, number_in
from bot.database import written
from bot.errors import MemberError
from bot.job import Job
from bot.panels import rating as panel
from bot.ratings import A_MINUTE, STARS, Ratings, is_blind, pictures_of, places_of
from bot.speaking import tell
from bot.words import N_, say
from inference.protocol import because

NAME = "rate"

NOT_THERE = N_("This is not to be chosen: use /rate again.")


@app_commands.command(name=NAME, description=N_("Say how good a picture is, or which of several is the best"))
@app_commands.describe(
    job=N_("The number under the pictures, without the #; your last pictures if you leave it out"),
    picture=N_("Which of the job's pictures"),
    stars=N_("How good it is; leave it out to be shown a menu"),
)
@app_commands.choices(stars=[Choice(name=panel.GRADES[stars], value=stars) for stars in reversed(STARS)])
@app_commands.autocomplete(job=completions.jobs_with_pictures)
async def rate(
    interaction: discord.Interaction,
    job: int | None = None,
    picture: app_commands.Range[int, 1, 4] | None = None,
    stars: int | None = None,
) -> None:
    """/rate."""
    await permits.require(interaction, NAME)
    found = await sources.find(interaction, await _newest(interaction) if job is None else job)
    if stars is None:
        return await _show(interaction, found)
    if picture is None and pictures_of(found) > 1:
        raise MemberError(
            "#{job} has {count} pictures: say which as `picture`.", job=found.id, count=pictures_of(found)
        )
    index = (picture or 1) - 1
    await _rate(interaction, found, index, stars)
    said = say("Picture {number} of #{job} has {stars} of 5 from you.", number=index + 1, job=found.id, stars=stars)
    await tell(interaction, said)
    return None


async def open_page(interaction: discord.Interaction, target: OfJob) -> None:
    """The buttons Rate and Vote."""
    job = await sources.job_of(interaction, target)
    await permits.require(interaction, NAME)
    await _show(interaction, job)


async def choose_stars(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menus of stars: JOB:INDEX."""
    await permits.require(interaction, NAME)
    number, _, index = target.word.partition(":")
    job = await sources.job_of(interaction, OfJob(_number(number)))
    chosen = _chosen(values)
    await _rate(interaction, job, _number(index), None if chosen == panel.NONE else _number(chosen))
    await _show(interaction, job, again=True)


async def choose_best(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menu of what is the best: JOB."""
    await permits.require(interaction, NAME)
    job = await sources.job_of(interaction, OfJob(_number(target.word)))
    chosen = _chosen(values)
    await _vote(interaction, job, None if chosen == panel.NONE else _number(chosen))
    await _show(interaction, job, again=True)


async def _rate(interaction: discord.Interaction, job: Job, index: int, stars: int | None) -> None:
    """Keep stars, or take them back. Raises MemberError."""
    _require_something(job)
    if not pictures_of(job):
        raise MemberError("#{job} is a table: leave `stars` out, and say which of it is the best.", job=job.id)
    if index >= pictures_of(job):
        raise MemberError.of(because("no_such_picture", job=job.id, count=pictures_of(job), number=index + 1))
    if stars is not None and stars not in STARS:
        raise MemberError(NOT_THERE)
    ratings, member_id = _admitted(interaction), interaction.user.id
    with written("a rating"):
        if stars is None:
            await ratings.unrate(member_id, job.id, index)
        elif not await ratings.rate(member_id, job.id, index, stars):
            raise MemberError(sources.NOT_SEEN)


async def _vote(interaction: discord.Interaction, job: Job, place: int | None) -> None:
    """Keep what is the best, or take it back. Raises MemberError."""
    if place is not None and place >= places_of(job):
        raise MemberError(NOT_THERE)
    ratings, member_id = _admitted(interaction), interaction.user.id
    with written("a vote"):
        if place is None:
            await ratings.unvote(member_id, job)
        elif not await ratings.vote(member_id, job, place):
            if is_blind(job) and (await ratings.of_member(member_id, job.id)).has_voted:
                raise MemberError("You have chosen already, and have seen since what was compared: that stands.")
            raise MemberError(sources.NOT_SEEN)


async def _show(interaction: discord.Interaction, job: Job, *, again: bool = False) -> None:
    """Show the page of a job to this member alone, `again` in the place of the one that was used."""
    _require_something(job)
    ratings = admission_of(interaction).jobs.ratings
    own, votes = await ratings.of_member(interaction.user.id, job.id), await ratings.votes(job.id)
    view = panel.of_job(job, own, votes)
    if again:
        await interaction.response.edit_message(view=view)
    else:
        await interaction.response.send_message(view=view, ephemeral=True)


def _require_something(job: Job) -> None:
    if not pictures_of(job) and not places_of(job):
        raise MemberError("#{job} shows nothing that can be rated: choose pictures that were painted.", job=job.id)


def _admitted(interaction: discord.Interaction) -> Ratings:
    """The ratings, for a member who may add to them now. Raises MemberError."""
    ratings = admission_of(interaction).jobs.ratings
    if not ratings.admit(interaction.user.id):
        raise MemberError("You can rate {most} times in a minute: wait a moment.", most=A_MINUTE)
    return ratings


async def _newest(interaction: discord.Interaction) -> int:
    """The member's last painting that may be shown here. Raises MemberError."""
    found = await admission_of(interaction).jobs.finding.painted(interaction.user.id, where_of(interaction), 1)
    if not found:
        raise MemberError("You have painted nothing here yet: give the number of somebody's pictures as `job`.")
    return found[0]


def _chosen(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise MemberError(NOT_THERE)
    return values[0]


def _number(typed: str) -> int:
    """A number in a custom_id or of an option. Raises MemberError where somebody made it up."""
    if (number := number_in(typed)) is None:
        raise MemberError(NOT_THERE)
    return number


SLICE = Slice(
    commands=[rate],
    presses={"rate": open_page},
    panel={"ratestars": choose_stars, "ratebest": choose_best},
)
