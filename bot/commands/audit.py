"""/audit: what happened in a server, for who looks after it, page by page and as CSV for who owns it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence

import discord
from discord import app_commands

from bot import permits
from bot.admission import admission_of
from bot.audit import Entry
from bot.commands import Slice
from bot.custom_ids import OfWord, number_in
from bot.errors import MemberError
from bot.panels import audit as panel
from bot.words import N_, say

NAME = "audit"

ROWS_EXPORTED = 50_000
"""The newest, some 10 MB."""

ROWS_AT_ONCE = 1000


@app_commands.command(
    name=NAME, description=N_("What happened in this server: who, when, which command, by which rule")
)
@app_commands.describe(member=N_("Whom it is about, or who did it; leave it out for all"))
@app_commands.default_permissions(manage_messages=True)
@app_commands.guild_only()
async def audit(interaction: discord.Interaction, member: discord.User | None = None) -> None:
    """/audit."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    await _show(interaction, None if member is None else member.id, 0)


async def turn(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons Newest and Older: whom it is about (0 for all), the row that the page comes after."""
    await permits.require(interaction, NAME)
    member, before, *_rest = (*target.word.split(":"), "")
    await interaction.response.defer()
    await _show(interaction, _number(member) or None, _number(before))


async def export(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button As CSV."""
    await permits.require(interaction, NAME)
    if not _owns(interaction) or interaction.guild_id is None:
        raise MemberError("Only who owns or administrates this server can have all of it: ask them.")
    await interaction.response.defer(ephemeral=True, thinking=True)
    admission = admission_of(interaction)
    member_id = _number(target.word) or None
    entries: list[Entry] = []
    while len(entries) < ROWS_EXPORTED:
        before = entries[-1].id if entries else None
        # In parts, between which others have their turn.
        part = await admission.jobs.audit.page(interaction.guild_id, member_id, before=before, limit=ROWS_AT_ONCE)
        entries += part
        if len(part) < ROWS_AT_ONCE:
            break
    made = await asyncio.to_thread(panel.table, entries, admission.commands)
    while len(made) > interaction.filesize_limit:
        # The newest half.
        entries = entries[: len(entries) // 2]
        made = await asyncio.to_thread(panel.table, entries, admission.commands)
    said = say("The newest {count} rows, times in UTC.", count=len(entries))
    file = discord.File(io.BytesIO(made), filename="audit.csv")
    await interaction.followup.send(said, file=file, ephemeral=True)


async def _show(interaction: discord.Interaction, member_id: int | None, before: int) -> None:
    if interaction.guild_id is None:
        raise MemberError("This belongs to a server: send /audit in one that you look after.")
    admission = admission_of(interaction)
    entries = await admission.jobs.audit.page(
        interaction.guild_id, member_id, before=before or None, limit=panel.ROWS + 1
    )
    view = panel.page(
        entries[: panel.ROWS],
        admission.commands,
        member_id,
        first=not before,
        more=len(entries) > panel.ROWS,
        days=admission.jobs.audit.days,
        export=_owns(interaction),
    )
    await interaction.edit_original_response(view=view, allowed_mentions=discord.AllowedMentions.none())


def _owns(interaction: discord.Interaction) -> bool:
    owner_id = None if interaction.guild is None else interaction.guild.owner_id
    return interaction.user.id == owner_id or interaction.permissions.administrator


def _number(text: str) -> int:
    return number if (number := number_in(text, digits=19) or 0) < 2**63 else 0


SLICE = Slice(commands=[audit], panel={"audit": turn, "auditcsv": export})
