"""The pictures that a training learns from: uploads, read as all uploads are, and what its member painted.

Nobody's pictures but one's own: for others one cannot speak, and what is theirs goes when they erase it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import discord

from bot.access import where_of
from bot.admission import admission_of
from bot.database import written
from bot.errors import MemberError
from bot.finding import Search
from bot.gallery import words_of
from bot.pictures import downloads
from bot.pictures.decoding import Upload
from bot.pictures.posted import Posted
from bot.training.states import Training
from bot.words import say, say_many
from inference.protocol.limits import training as limits

Source = Literal["favourites", "here"]
"""Of one's own pictures: those that one starred, or those of the channel or thread where one is."""

PAGE = 50
"""So many jobs are read at a time."""


async def posted(interaction: discord.Interaction, training: Training, pictures: Sequence[Posted]) -> list[str]:
    """Let a draft learn from these as well; what is wrong with those that it cannot, in sentences."""
    admission = admission_of(interaction)
    problems: list[str] = []
    try:
        async with admission.workshop.turn(interaction.user.id) as folder:
            files: dict[str, Path] = {}
            for picture in pictures:
                try:
                    upload = await downloads.read(admission.workshop.uploads, picture, folder)
                    _require_usable(upload, folder)
                    files[upload.sha256] = folder / upload.file
                except MemberError as error:
                    problems.append(f"`{_name(picture)}`: {error}")
            problems += await _keep(interaction, training, files, {})
    except OSError as error:
        raise MemberError("There is no room for uploads at the moment: try again later.") from error
    return problems


async def painted(interaction: discord.Interaction, training: Training, source: Source) -> list[str]:
    """Let a draft learn from what its member painted, the newest first, with the words that they were painted from;
    what is wrong with that."""
    admission, member_id = admission_of(interaction), interaction.user.id
    finding = admission.jobs.finding
    files: dict[str, Path] = {}
    captions: dict[str, str] = {}
    search = Search(favourites=True) if source == "favourites" else Search(channel_id=interaction.channel_id)
    others, before = 0, None
    while len(files) < limits.MOST_PICTURES:
        page = await finding.page(member_id, search, where_of(interaction), before=before, limit=PAGE)
        starred = await finding.starred(member_id, page.jobs)
        for job in await admission.jobs.all_of(page.jobs):
            for index in starred.get(job.id, ()) if search.favourites else range(len(job.pictures)):
                if job.reply.member_id != member_id:
                    others += 1
                elif index < len(job.pictures) and not job.pictures[index].flagged:
                    sha256 = job.pictures[index].sha256
                    files[sha256] = admission.jobs.path(sha256)
                    captions[sha256] = (words_of(job) or "")[: limits.MAX_CAPTION_CHARS]
        if not page.older or not page.jobs:
            break
        before = page.jobs[-1]
    files = dict(list(files.items())[: limits.MOST_PICTURES])
    problems = await _keep(interaction, training, files, captions)
    if others:
        problems.append(
            say_many(
                "{count} of your favourites is somebody else's picture: it is not learned from.",
                "{count} of your favourites are others' pictures: they are not learned from.",
                others,
            )
        )
    if not files and search.favourites:
        problems.append(say("You have starred none of your own pictures here: add some."))
    elif not files:
        problems.append(say("You have painted nothing in this channel or thread: add pictures."))
    return problems


async def _keep(
    interaction: discord.Interaction, training: Training, files: dict[str, Path], captions: dict[str, str]
) -> list[str]:
    try:
        with written("pictures of a training"):
            await admission_of(interaction).jobs.trainings.add_pictures(training.id, files, captions)
    except MemberError as error:
        return [str(error)]
    return []


def _require_usable(upload: Upload, folder: Path) -> None:
    """Raise MemberError where a picture that can be read is none to learn from."""
    if min(upload.width, upload.height) < limits.LEAST_SIDE:
        raise MemberError(
            "This picture has {width}x{height} pixels and {least} a side is the least: enlarge it.",
            width=upload.width,
            height=upload.height,
            least=limits.LEAST_SIDE,
        )
    if (folder / upload.file).stat().st_size > limits.MAX_FILE_BYTES:
        raise MemberError("This picture is too large to learn from: make it smaller.")


def _name(picture: Posted) -> str:
    return picture.name[:80].replace("`", "")
