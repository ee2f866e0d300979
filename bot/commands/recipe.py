"""Show recipe: what made the picture in a message, be it ours or another tool's."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping

import discord
from discord import app_commands

from bot.access import may_see
from bot.admission import Admission
from bot.commands import Slice
from bot.errors import MemberError, WorkFailed
from bot.job import Job
from bot.pictures import attachments, decoding

SHOWN_CHARS = 1800
"""Discord takes 2000 in a message; the rest of a longer recipe is in the file."""

CARRIERS: Mapping[str, str] = {
    "prompt": "ComfyUI",
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "Comment": "NovelAI",
}
"""Under which keyword which tool leaves its recipe, where it is not `parameters`."""


def build(admission: Admission) -> Slice:
    """The menu."""

    async def show(interaction: discord.Interaction, message: discord.Message) -> None:
        job = await admission.jobs.of_message(message.id)
        if job is not None and await may_see(interaction, job):
            await interaction.response.defer(ephemeral=True, thinking=True)
            said, files = await _of_job(admission, job)
        else:
            attachment = attachments.first_picture(message)
            await interaction.response.defer(ephemeral=True, thinking=True)
            async with admission.workshop.turn(interaction.user.id) as folder:
                file = await attachments.fetch(attachment, folder)
                texts = await admission.workshop.uploads.run(decoding.texts, file, ("parameters", *CARRIERS))
            said, files = _of_texts(texts)
        await interaction.followup.send(said, files=files, ephemeral=True)

    return Slice(commands=[app_commands.ContextMenu(name="Show recipe", callback=show)])


async def _of_job(admission: Admission, job: Job) -> tuple[str, list[discord.File]]:
    recipe = await admission.jobs.recipe(job.id)
    if recipe is None:
        raise MemberError(f"Job {job.id} has made nothing yet: its recipe comes with its result.")
    whole = _file(f"easel-{job.id}-recipe.json", recipe)
    for picture in admission.jobs.paths(job):
        try:
            texts = await admission.workshop.results.run(decoding.texts, picture, ("parameters",))
        except WorkFailed:
            continue  # the file says it all
        if "parameters" in texts:
            return _block(texts["parameters"]), [whole]
    return f"#{job.id} is of /{job.request.kind}: everything that made it is in the file.", [whole]


def _of_texts(texts: Mapping[str, str]) -> tuple[str, list[discord.File]]:
    if "parameters" in texts:
        files = [_file("recipe.txt", texts["parameters"])] if len(texts["parameters"]) > SHOWN_CHARS else []
        return _block(texts["parameters"]), files
    for keyword, tool in CARRIERS.items():
        if keyword in texts:
            return f"Made with {tool}, whose recipe is in the file.", [_file("recipe.json", texts[keyword])]
    raise MemberError(
        "This picture carries no recipe: the tool that made it left none, or somebody's program removed it."
    )


def _block(text: str) -> str:
    # Zero-width spaces keep a recipe's own backticks from ending the block.
    shown = re.sub("`(?=`)", "`\u200b", text)
    return "```\n" + (shown if len(shown) <= SHOWN_CHARS else shown[:SHOWN_CHARS] + "…") + "\n```"


def _file(name: str, content: object) -> discord.File:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
    return discord.File(io.BytesIO(text.encode()), filename=name)
