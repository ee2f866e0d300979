"""The page that a panel is on: lines of Discord's markdown, and under them rows of buttons and menus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import discord
from discord import ui

from bot import cards

COLOUR = discord.Colour(0x5B6EE1)

CHARS = 3900
"""Discord takes 4000 in a message."""


def page(lines: Iterable[str], rows: Iterable[Sequence[ui.Item[Any]]]) -> ui.LayoutView:
    """The page with these lines and rows; a row of nothing is left out."""
    container: ui.Container[Any] = ui.Container(accent_colour=COLOUR)
    container.add_item(ui.TextDisplay(cards.cut("\n".join(lines), CHARS)))
    for row in filter(None, rows):
        container.add_item(ui.ActionRow(*row))
    return cards.layout(container)


def heading(text: str) -> str:
    """The heading of a page."""
    return f"## {text}"


def title(text: str) -> str:
    """The title of what stands below it."""
    return f"**{text}**"


def small(text: str) -> str:
    """A remark."""
    return f"-# {text}"


def is_private(interaction: discord.Interaction) -> bool:
    """Whether a page was used that this member alone sees, and whose place another can take."""
    return interaction.message is not None and interaction.message.flags.ephemeral


async def show(interaction: discord.Interaction, view: ui.LayoutView, files: Sequence[discord.File] = ()) -> None:
    """Put a page with these files in the place of the one that was used, whose files go with it, or before this member
    alone where there is none yet."""
    if is_private(interaction):
        await interaction.response.edit_message(view=view, attachments=files)
    else:
        await interaction.response.send_message(view=view, files=files, ephemeral=True)
