"""Where a job came from and what came of it, as far as the member who asks may see either."""

from __future__ import annotations

from dataclasses import dataclass

import discord
from msgspec.structs import replace

from bot.access import may_see
from bot.admission import admission_of
from bot.job import Job
from bot.words import say
from inference.protocol import Classify, Compare, Describe, Grid, Imagine, Mask, Request, Upscale

SHOWN_ANCESTORS, SHOWN_CHILDREN = 8, 10
"""Of a long line the root and the nearest; of many children the newest."""


@dataclass(frozen=True)
class Line:
    """The jobs around one: `ancestors` from the root on, `children` the newest first."""

    ancestors: tuple[Job, ...]
    children: tuple[Job, ...]
    more_children: bool


async def of_job(interaction: discord.Interaction, job: Job) -> Line:
    """The line of a job, without what this member cannot see here."""
    jobs = admission_of(interaction).jobs
    numbers = await jobs.finding.ancestors(job.id)
    if len(numbers) > SHOWN_ANCESTORS:
        numbers = [*numbers[: SHOWN_ANCESTORS - 1], numbers[-1]]
    ancestors = [each for each in await jobs.all_of(numbers) if await may_see(interaction, each)]
    children = [
        each
        for each in await jobs.all_of(await jobs.finding.children(job.id, SHOWN_CHILDREN + 1))
        if await may_see(interaction, each)
    ]
    return Line(tuple(reversed(ancestors)), tuple(children[:SHOWN_CHILDREN]), len(children) > SHOWN_CHILDREN)


def done(request: Request, before: Request | None) -> str:
    """What was done, with what came before it where that is known."""
    match request:
        case Imagine():
            return _painted(request, before)
        case Grid():
            return say("painted as a table")
        case Upscale(factor=factor):
            return say("enlarged {factor}×", factor=factor)
        case Describe():
            return say("described")
        case Classify():
            return say("classified")
        case Mask():
            return say("marked to be painted anew")
        case Compare():
            return say("compared with what it followed")


def _painted(request: Imagine, before: Request | None) -> str:
    match before:
        case Imagine() if _worked_on(request) == _worked_on(before):
            return _again(request, before)
        case Describe():
            return say("imagined from its description")
    if request.mask is not None or request.references:
        return say("edited")
    return say("painted") if request.image is None else say("painted from the picture")


def _worked_on(request: Imagine) -> tuple[object, ...]:
    return (request.image, request.mask, request.references)


def _again(request: Imagine, before: Imagine) -> str:
    if replace(request, job=before.job) == before:
        return say("painted again from the same seed")
    if len(request.variations) > len(before.variations):
        return say("varied")
    if replace(request, job=before.job, seed=before.seed, variations=before.variations) == before:
        return say("painted from another seed")
    return say("painted with changes")
