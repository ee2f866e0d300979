"""Show edges: what a picture followed, what the ControlNet saw of it and what was painted, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import discord

from bot import cards, sources
from bot.admission import admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.custom_ids import OfJob
from bot.errors import MemberError
from bot.job import Job, asked
from bot.pictures.fitting import Shown
from bot.words import say
from inference.protocol import Compare, Imagine, Input


class Looks:
    """How a comparison looks."""

    def headline(self, request: Compare) -> str:
        """What is compared."""
        models = ", ".join(model for model, _ in request.followed)
        followed = say("What {model} followed", model=models)
        return f"**{followed}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The comparison."""
        request = asked(job, Compare)
        text = self.headline(request)
        return cards.result(job, text, ", ".join(request.captions), pictures, text.strip("*"), [[cards.delete(job)]])


async def compare(interaction: discord.Interaction, target: OfJob) -> None:
    """The button."""
    job = await sources.job_of(interaction, target)
    request = asked(job, Imagine)
    if not request.controls:
        raise MemberError("These pictures followed no other: there is nothing to compare.")
    first, *others = request.controls
    other = next(iter(others), None)
    comparison = Compare(
        job=0,
        model=first.name,
        image=first.image,
        model2=None if other is None else other.name,
        image2=None if other is None else other.image,
        width=request.width,
        height=request.height,
        painted=tuple(Input(made.sha256, made.width, made.height) for made in job.pictures),
        captions=(say("given"), say("seen"), say("painted")),
    )
    await admission_of(interaction).submit(interaction, comparison, job.id)


SLICE = Slice(kind="compare", look=Looks(), command="imagine", presses={"compare": compare})
