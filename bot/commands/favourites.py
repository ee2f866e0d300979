"""The stars under pictures: what a member wants to find again."""

from __future__ import annotations

import discord

from bot import sources
from bot.admission import admission_of
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.errors import MemberError
from bot.speaking import tell
from bot.words import say


async def star(interaction: discord.Interaction, target: OfJob) -> None:
    """The star buttons: one press on, one off."""
    job = await sources.job_of(interaction, target)
    finding = admission_of(interaction).jobs.finding
    starred = await finding.star(interaction.user.id, job.id, target.index)
    if starred is None:
        raise MemberError("Job {job} has no such picture any more: star another one.", job=job.id)
    sentence = (
        say("Picture {number} of #{job} is one of your favourites: /history shows them.", **_of(target))
        if starred
        else say("Picture {number} of #{job} is none of your favourites any more.", **_of(target))
    )
    await tell(interaction, sentence)


def _of(target: OfJob) -> dict[str, int]:
    return {"number": target.index + 1, "job": target.number}


SLICE = Slice(presses={"star": star})
