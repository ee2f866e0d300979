"""How jobs look in lists: a line of each, a link to where it stands, a thumbnail of what it made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence

from bot import cards
from bot.admission import Admission
from bot.errors import WorkFailed
from bot.job import Job
from bot.pictures import fitting
from bot.words import say, say_many
from inference.protocol import Describe, Grid, Imagine, Mask

log = logging.getLogger(__name__)

TITLE_CHARS = 120
"""Of a job in a list."""


def words_of(job: Job) -> str | None:
    """The prompt of a job, as its member wrote it, or what a describer said; None where there is neither."""
    match job.request:
        case Imagine(prompt=prompt) | Grid(cells=(Imagine(prompt=prompt), *_)) | Mask(edit=Imagine(prompt=prompt)):
            return prompt
        case Describe():
            return job.answer.text or None
    return None


def title(admission: Admission, job: Job) -> str:
    """A job in a few words of Discord's markdown."""
    words = words_of(job)
    return (
        admission.delivery.headline(job) if words is None else f"**{cards.plain(cards.shorten(words, TITLE_CHARS))}**"
    )


def plain_title(admission: Admission, job: Job) -> str:
    """The same where there is no markdown: its number first."""
    return f"#{job.id} {words_of(job) or f'/{admission.command_of(job.request)}'}"


def link(job: Job) -> str:
    """The number of a job, which leads to its message where that is known."""
    url = job.reply.url
    return f"#{job.id}" if url is None else f"[#{job.id}]({url})"


def line(admission: Admission, job: Job, starred: Collection[int] = ()) -> str:
    """A job in a list: its words, and in small print what and when it was. `starred` are those of its pictures that are
    favourites, counted from 0."""
    facts = [link(job), f"/{admission.command_of(job.request)}", cards.plain(job.request.model)]
    if len(job.pictures) > 1:
        facts.append(say_many("{count} picture", "{count} pictures", len(job.pictures)))
    if starred:
        facts.append("★" if len(job.pictures) == 1 else "★" + ", ".join(str(index + 1) for index in starred))
    facts += state(job)
    facts.append(f"<t:{job.created_at:.0f}:R>")
    return f"{title(admission, job)}\n-# {' · '.join(facts)}"


async def thumbnails(admission: Admission, wanted: Mapping[int, str]) -> dict[int, bytes]:
    """Small pictures of these jobs, by their numbers, of the hashes of their pictures; those that cannot be made are
    left out."""
    made = await asyncio.gather(*(_thumbnail(admission, sha256) for sha256 in wanted.values()))
    return {number: small for number, small in zip(wanted, made, strict=True) if small is not None}


def thumbnailed(jobs: Sequence[Job], starred: Mapping[int, Sequence[int]]) -> dict[int, str]:
    """Which picture stands for each job: the first that its member starred, else the first that it made; where it made
    none the one that it was about, unless that may not be seen."""
    chosen = {}
    for job in jobs:
        if job.pictures:
            chosen[job.id] = job.pictures[starred.get(job.id, [0])[0]].sha256
        elif job.request.inputs and job.request.inputs[0].sha256 and job.failure_kind != "unsafe":
            chosen[job.id] = job.request.inputs[0].sha256
    return chosen


async def _thumbnail(admission: Admission, sha256: str) -> bytes | None:
    pictures = admission.jobs.pictures
    if (small := await pictures.read_thumbnail(sha256)) is not None:
        return small
    if not pictures.path(sha256).is_file():
        # It is old, and was removed.
        return None
    try:
        with admission.workshop.desk() as folder:
            made = await admission.workshop.lists.run(fitting.small, pictures.path(sha256), folder)
            await pictures.keep_thumbnail(sha256, made)
    except (WorkFailed, OSError) as error:
        log.warning("no thumbnail of picture %s: %s", sha256, error)
        return None
    return await pictures.read_thumbnail(sha256)


def state(job: Job) -> list[str]:
    """Where a job stands, in a word; nothing where it went well."""
    match job.state:
        case "finished":
            return []
        case "failed":
            return [say("failed")]
        case "cancelled":
            return [say("was cancelled")]
        case "running":
            return [say("running")]
    return [say("waiting")]
