"""Buttons and menus that outlive the bot: what one does and to what stands in its custom_id, nothing in memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol, Self, cast

import discord
from discord import ui

from bot import custom_ids
from bot.custom_ids import OF_JOB, OfJob, OfWord

LABEL_CHARS = 80
"""The most that Discord takes of a button."""

MENU_CHARS = 100
"""The most that it takes of a menu's option, of that's description, or of a placeholder."""

OFFERED = 25
"""The most options that it takes in one menu."""


class Pressable(Protocol):
    """The client, as a button sees it."""

    async def press(self, interaction: discord.Interaction, action: str, target: OfJob) -> None:
        """Do what the button says and answer the interaction, errors included."""


class JobButton(ui.DynamicItem[ui.Button[Any]], template=OF_JOB):
    """A button under a job's reply; `index` picks one of its pictures, from 0."""

    def __init__(
        self,
        action: str,
        job_id: int,
        index: int = 0,
        *,
        label: str | None = None,
        style: discord.ButtonStyle = discord.ButtonStyle.secondary,
    ) -> None:
        self._action = action
        self._target = OfJob(job_id, index)
        label = label and label[:LABEL_CHARS]
        super().__init__(ui.Button(label=label, style=style, custom_id=custom_ids.make(action, self._target)))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button as it stands under the message, remade from its custom_id."""
        button = cast("ui.Button[Any]", item)
        return cls(
            match["action"],
            int(match["job"]),
            int(match["index"] or 0),
            label=button.label,
            style=button.style,
        )

    async def callback(self, interaction: discord.Interaction) -> None:
        """Hand the press to the client, which knows every action."""
        client = cast(Pressable, interaction.client)
        await client.press(interaction, self._action, self._target)


class PanelButton(ui.Button[Any]):
    """A button of a panel, which is about no job: its word says what it is about. The client acts on it."""

    def __init__(
        self,
        action: str,
        word: str = "",
        *,
        label: str,
        style: discord.ButtonStyle = discord.ButtonStyle.secondary,
        disabled: bool = False,
    ) -> None:
        custom_id = custom_ids.make(action, OfWord(word))
        super().__init__(label=label[:LABEL_CHARS], style=style, custom_id=custom_id, disabled=disabled)


def panel_menu(
    action: str,
    word: str,
    options: Sequence[discord.SelectOption],
    *,
    placeholder: str | None = None,
    least: int = 1,
    most: int = 1,
) -> ui.Select[Any]:
    """A menu of a panel, of which `least` to `most` options can be chosen; the client acts on what was."""
    return ui.Select(
        custom_id=custom_ids.make(action, OfWord(word)),
        options=list(options),
        placeholder=placeholder and placeholder[:MENU_CHARS],
        min_values=least,
        max_values=most,
    )
