"""Show recipe: what made the picture in a message, be it ours or another tool's."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
from collections.abc import Sequence

import discord
from discord import app_commands

from bot import sources
from bot.access import may_see
from bot.admission import Admission, admission_of
from bot.commands import Slice
from bot.errors import MemberError, WorkFailed
from bot.job import Job
from bot.pictures import decoding, downloads, manifests
from bot.pictures.posted import Posted
from bot.pictures.recipes import Recipe
from bot.words import N_, say
from inference.protocol import sha256_of

SHOWN_CHARS = 1800
"""Discord takes 2000 in a message, with whose it is; the rest of a longer recipe is in the file."""

READ = 10
"""Of so many pictures of a message one may carry it."""


@app_commands.context_menu(name=N_("Show recipe"))
async def show_recipe(interaction: discord.Interaction, message: discord.Message) -> None:
    """The menu of a message."""
    admission = admission_of(interaction)
    job = await sources.job_shown(interaction, message)
    pictures = [] if job is not None else admission.cdn.pictures_of(message)
    await interaction.response.defer(ephemeral=True, thinking=True)
    said, files = await (_of_job(admission, job) if job is not None else _of_pictures(interaction, pictures))
    await interaction.followup.send(said, files=files, ephemeral=True)


async def _of_job(admission: Admission, job: Job, index: int = 0) -> tuple[str, list[discord.File]]:
    """The recipe of a job: what its picture says in words, and all that is known in a file."""
    recipe = await admission.jobs.recipe(job.id)
    if recipe is None:
        raise MemberError("Job {job} has made nothing yet: its recipe comes with its result.", job=job.id)
    files = [_file(f"easel-{job.id}-recipe.json", recipe)]
    words: dict[int, str] = {}
    for number, picture in enumerate(admission.jobs.paths(job)):
        with contextlib.suppress(WorkFailed):  # the file says it all
            texts = await admission.workshop.results.run(decoding.texts, picture, ("parameters",))
            if "parameters" in texts:
                words[number] = texts["parameters"]
    if not words:
        command = admission.command_of(job.request)
        said = say("#{job} is of /{command}: everything that made it is in the file.", job=job.id, command=command)
        return said, files
    if len(words) > 1:
        each = "\n\n".join(say("Picture {number}", number=number + 1) + "\n" + text for number, text in words.items())
        files.append(_file(f"easel-{job.id}-parameters.txt", each))
    return _block(words.get(index) or next(iter(words.values()))), files


async def _of_pictures(interaction: discord.Interaction, pictures: Sequence[Posted]) -> tuple[str, list[discord.File]]:
    """The recipe of the first of these pictures that has one. Raises MemberError where none has."""
    problems: list[MemberError] = []
    for picture in pictures[:READ]:
        try:
            return await _of_picture(interaction, picture)
        except MemberError as error:
            problems.append(error)
    raise problems[0]


async def _of_picture(interaction: discord.Interaction, picture: Posted) -> tuple[str, list[discord.File]]:
    """The recipe of a picture that somebody posted: its job's where it is one of ours, else what its file says."""
    admission = admission_of(interaction)
    async with admission.workshop.turn(interaction.user.id) as folder:
        file = await downloads.fetch(picture, folder)
        # As it was before it was signed.
        sha256 = await asyncio.to_thread(lambda: sha256_of(manifests.bare(file.read_bytes())))
        for job in await admission.jobs.of_picture(sha256):
            if await may_see(interaction, job):
                return await _of_job(admission, job, [made.sha256 for made in job.pictures].index(sha256))
        told = await admission.workshop.uploads.run(decoding.recipe, file)
    if told is None:
        raise MemberError(
            "This picture carries no recipe: the tool that made it left none, or somebody's program removed it."
        )
    return _of_file(told)


def _of_file(recipe: Recipe) -> tuple[str, list[discord.File]]:
    """What a file says, in words as far as they are understood, and whole in a file where that is more."""
    files = []
    if recipe.whole != recipe.words or len(recipe.words) > SHOWN_CHARS:
        files.append(_file(f"recipe.{recipe.suffix}", recipe.whole))
    if recipe.suffix == "json" and len(recipe.words) > SHOWN_CHARS:
        files.append(_file("recipe.txt", recipe.words))
    if not recipe.words:
        return say("Made with {tool}, whose recipe is in the file.", tool=recipe.tool or ""), files
    if recipe.tool is None:
        whose = say("Made with another tool, as the file says:")
    else:
        whose = say("Made with {tool}, as the file says:", tool=recipe.tool)
    return f"{whose}\n{_block(recipe.words)}", files


def _block(text: str) -> str:
    # Zero-width spaces keep a recipe's own backticks from ending the block.
    shown = re.sub("`(?=`)", "`\u200b", text)
    return "```\n" + (shown if len(shown) <= SHOWN_CHARS else shown[:SHOWN_CHARS] + "…") + "\n```"


def _file(name: str, content: object) -> discord.File:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
    return discord.File(io.BytesIO(text.encode()), filename=name)


SLICE = Slice(commands=[show_recipe])
