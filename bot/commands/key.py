"""/key: the keys by which a member's programs ask for pictures, as they themselves would where the key was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards
from bot.admission import Admission, admission_of
from bot.buttons import panel_menu
from bot.commands import Slice
from bot.custom_ids import OfWord, number_in
from bot.database import written
from bot.errors import MemberError
from bot.keys import NAME_CHARS, Key, Keys
from bot.panels.page import heading, page, show, small
from bot.words import N_, say, spoken

NAME = "key"

LABEL_CHARS = 100


@app_commands.command(name=NAME, description=N_("Keys by which your programs ask for pictures, as you would here"))
@app_commands.describe(name=N_("What the new key is for; leave it out to see those that you have"))
@app_commands.guild_only()
async def key(interaction: discord.Interaction, name: app_commands.Range[str, 1, NAME_CHARS] | None = None) -> None:
    """/key."""
    keys = _served(interaction)
    if name is None:
        return await _home(interaction)
    if interaction.guild is None or interaction.channel_id is None or interaction.guild.me is None:
        raise MemberError("Keys are made in a server that Easel is in: use /key there.")
    with written("a new key"):
        _, secret = await keys.make(interaction.user.id, interaction.guild.id, interaction.channel_id, name, spoken())
    lines = [
        heading(say("Your new key")),
        say("It is shown this once. Whoever has it asks for pictures as you would in this channel: give it to nobody."),
        f"```\n{secret}\n```",
        say(
            "Programs that speak OpenAI's images API take it with the address `{url}`, or as whoever runs this bot"
            " says.",
            url=f"{keys.url}/v1",
        ),
        small(say("/key without a name shows your keys, and revokes them.")),
    ]
    await interaction.response.send_message(view=page(lines, []), ephemeral=True)
    return None


async def revoke(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menu Revoke."""
    await admission_of(interaction).access.require(interaction, NAME)
    number = number_in(values[0] if values else "") or 0
    with written("the end of a key"):
        await _take_back(admission_of(interaction), number, interaction.user.id)
    await _home(interaction)


async def _take_back(admission: Admission, key_id: int, member_id: int) -> None:
    """Revoke a key of this member's, and end what was asked by it and has no end yet: it may be another's by now."""
    jobs = admission.jobs
    if not await jobs.keys.revoke(key_id, member_id):
        return
    for job in [*await jobs.unsettled(), *await jobs.in_state("queued"), *await jobs.in_state("running")]:
        if job.reply.key_id == key_id:
            await admission.cancel(job)


def _served(interaction: discord.Interaction) -> Keys:
    """The keys. Raises MemberError where they are good for nothing."""
    keys = admission_of(interaction).jobs.keys
    if keys.url is None:
        raise MemberError("No programs are served here, so there are no keys: ask whoever runs this bot.")
    return keys


async def _home(interaction: discord.Interaction) -> None:
    keys = await admission_of(interaction).jobs.keys.of_member(interaction.user.id)
    lines = [heading(say("Your keys")), *(_line(one) for one in keys)]
    if not keys:
        lines.append(say("You have none: /key with a name makes one."))
    rows: list[list[ui.Item[Any]]] = []
    if keys:
        options = [discord.SelectOption(label=f"#{one.id} {one.name}"[:LABEL_CHARS], value=str(one.id)) for one in keys]
        rows.append([panel_menu("keyrevoke", "", options, placeholder=say("Revoke a key"))])
    await show(interaction, page(lines, rows))


def _line(one: Key) -> str:
    used = say("not used yet") if one.used_at is None else say("used {when}", when=f"<t:{one.used_at:.0f}:R>")
    made = f"<#{one.channel_id}> · <t:{one.made_at:.0f}:d> · {used}"
    return f"**#{one.id} {cards.plain(one.name)}**\n-# {made}"


SLICE = Slice(commands=[key], panel={"keyrevoke": revoke})
