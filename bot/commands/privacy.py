"""/privacy: what is kept of a member, all of it to take along, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import discord
from discord import app_commands

from bot import archive
from bot.admission import admission_of
from bot.archive import Archive
from bot.buttons import PanelButton
from bot.commands import Slice
from bot.custom_ids import OfWord, number_in
from bot.errors import MemberError
from bot.panels.page import heading, page, show, title
from bot.words import N_, say, say_many

log = logging.getLogger(__name__)

NAME = "privacy"

PART_BYTES = 24 * 2**20
"""The most of one file, where Discord would take more."""

JOBS_READ = 500
"""Of one export, however small they are."""

OF_TRAININGS = "t"
"""Begins the word of what comes after the jobs."""

ROOM_BYTES = 2000
"""Of what Discord takes of a file, left for what is around it."""


@app_commands.command(name=NAME, description=N_("What is kept of you: take it along, or have it erased for good"))
async def privacy(interaction: discord.Interaction) -> None:
    """/privacy."""
    await _home(interaction)


async def open_home(interaction: discord.Interaction, _: OfWord, __: Sequence[str]) -> None:
    """The button Back."""
    await _allowed(interaction)
    await _home(interaction)


async def export(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons Export and More: the jobs before the number in the word, from the newest on where it is none; behind
    `OF_TRAININGS`, the pictures of trainings before it."""
    await _allowed(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    admission, member_id = admission_of(interaction), interaction.user.id
    typed = target.word.removeprefix(OF_TRAININGS)
    before = number_in(typed)
    of_trainings = target.word.startswith(OF_TRAININGS)
    part_bytes = min(interaction.filesize_limit, PART_BYTES) - ROOM_BYTES
    try:
        async with admission.workshop.turn(member_id) as folder:
            kept = admission.jobs.belongings
            path: Callable[[str], Path] = admission.jobs.path
            beside = {}
            number = 2**63 - 1 if before is None else before
            if of_trainings:
                learned = admission.jobs.trainings.taken_along(member_id, number, JOBS_READ + 1)
                jobs, path = await learned, admission.jobs.trainings.folders.taken_along
            else:
                beside = await kept.beside_jobs(member_id) if before is None else {}
                jobs = await kept.jobs(member_id, number, JOBS_READ + 1)
            read = jobs[:JOBS_READ]
            made = await asyncio.to_thread(archive.write, folder, beside, read, path, part_bytes)
            for part in made.parts:
                await interaction.followup.send(file=discord.File(part), ephemeral=True)
    except OSError as error:
        log.error("an export cannot be written: %s", error.strerror or error)
        raise MemberError("There is no room to make it at the moment: try again later.") from error
    older = made.before or (int(read[-1]["id"]) if len(jobs) > JOBS_READ else None)
    more = None if older is None else f"{OF_TRAININGS if of_trainings else ''}{older}"
    if more is None and not of_trainings and await admission.jobs.trainings.taken_along(member_id, 2**63 - 1, 1):
        more = OF_TRAININGS
    await interaction.followup.send(view=_exported(made, more), ephemeral=True)


async def ask_to_erase(interaction: discord.Interaction, _: OfWord, __: Sequence[str]) -> None:
    """The button Erase: asks once more."""
    await _allowed(interaction)
    jobs, pictures = await admission_of(interaction).jobs.belongings.counts(interaction.user.id)
    lines = [
        heading(say("Erase everything?")),
        say(
            "Jobs: {jobs}, pictures: {pictures}, in every server and in direct messages. What waits or runs is"
            " cancelled. Nobody can bring any of it back.",
            jobs=jobs,
            pictures=pictures,
        ),
    ]
    buttons = [
        PanelButton("erase", label=say("Erase everything"), style=discord.ButtonStyle.danger),
        PanelButton("privacy", label=say("Back")),
    ]
    await show(interaction, page(lines, [buttons]))


async def erase(interaction: discord.Interaction, _: OfWord, __: Sequence[str]) -> None:
    """The button that does it."""
    await _allowed(interaction)
    erasure = admission_of(interaction).erasure
    # First it holds, then it is said.
    await erasure.begin(interaction.user.id)
    await interaction.response.defer()
    await erasure.erase(interaction.user.id)
    lines = [
        heading(say("Everything is erased")),
        say(
            "Nothing that you asked for is kept any more. Its messages are being taken away, as far as Discord lets"
            " Easel: what is left of them you can delete yourself."
        ),
    ]
    await interaction.edit_original_response(view=page(lines, []))


async def _allowed(interaction: discord.Interaction) -> None:
    """Raise MemberError where moderators keep this member from the command. Whoever is blocked may use it all the
    same."""
    await admission_of(interaction).access.require(interaction, NAME)


async def _home(interaction: discord.Interaction) -> None:
    jobs, pictures = await admission_of(interaction).jobs.belongings.counts(interaction.user.id)
    lines = [
        heading(say("Your data")),
        say("Jobs: {jobs}, pictures: {pictures}.", jobs=jobs, pictures=pictures),
        title(say("What is kept")),
        say(
            "Each job: your Discord id, server, channel and roles, what you asked for, the pictures that it worked on"
            " and those that it made, how they were made, and when. Your favourites, your ratings and votes, your"
            " searches, what you set with /me, what your keys are called and when they were used, your trainings with"
            " their pictures and words, and your LoRAs. For the limits of a server, when you asked for something on"
            " the last day."
        ),
        title(say("How long")),
        say(
            "Until you delete a job, or its message, or erase everything here. What happened, without a word or a"
            " picture, is kept for moderators for {days} days: who, when, which command, and hashes.",
            days=admission_of(interaction).jobs.audit.days,
        ),
        title(say("Who sees it")),
        say(
            "A result: whoever can read its channel. Everything: whoever runs this bot, on whose machine it lies and"
            " which it does not leave but for Discord."
        ),
        title(say("What erasing leaves")),
        say(
            "What is kept for moderators, for its time, and that they have blocked you, if they have. What others made"
            " of your pictures is theirs and stays, but the pictures that they made it of go."
        ),
    ]
    buttons = [
        PanelButton("export", label=say("Export everything"), style=discord.ButtonStyle.primary),
        PanelButton("askerase", label=say("Erase everything…"), style=discord.ButtonStyle.danger),
    ]
    await show(interaction, page(lines, [buttons]))


def _exported(made: Archive, more: str | None) -> discord.ui.LayoutView:
    lines = [say("Each ZIP file can be read by itself. In `jobs.json` stands what was asked for and how it was made.")]
    if made.left_out:
        lines.append(
            say_many(
                "{count} picture is larger than Discord takes: the button Original under its job shows it.",
                "{count} pictures are larger than Discord takes: the button Original under their jobs shows them.",
                made.left_out,
            )
        )
    if more is None:
        return page(lines, [])
    if more.startswith(OF_TRAININGS):
        lines.append(say("There are pictures of your trainings, too."))
    else:
        lines.append(say("There are more jobs, from before #{job}.", job=int(more)))
    return page(lines, [[PanelButton("export", more, label=say("More"))]])


SLICE = Slice(
    commands=[privacy],
    panel={"privacy": open_home, "export": export, "askerase": ask_to_erase, "erase": erase},
)
