"""Forms that outlive the bot: what one is about stands in its custom_id. In whatever language, they are cut to what
Discord takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import ui

from bot import custom_ids
from bot.custom_ids import Target
from bot.pictures.posted import Posted

LIFE_S = 15 * 60
"""How long discord.py remembers a form that was opened; a later answer to it is understood all the same."""

TITLE_CHARS, LABEL_CHARS, DESCRIPTION_CHARS, PLACEHOLDER_CHARS = 45, 45, 100, 100
"""The most that Discord takes."""

UPLOADS = 10
"""The most files that it takes in one field."""


def form(title: str, action: str, target: Target) -> ui.Modal:
    """A form that does this to its target, to which `ask` adds."""
    return ui.Modal(title=title[:TITLE_CHARS], custom_id=custom_ids.make(action, target), timeout=LIFE_S)


def ask(of: ui.Modal, label: str, field: ui.Item[Any], more: str | None = None) -> None:
    """Add a field, under its label and with a sentence `more`, to a form."""
    more = None if more is None else more[:DESCRIPTION_CHARS]
    of.add_item(ui.Label(text=label[:LABEL_CHARS], description=more, component=field))


def uploads(interaction: discord.Interaction, name: str) -> list[Posted]:
    """What was uploaded in this field of the form that was sent, in order: what Discord serves, of which nobody knows
    yet what it holds."""
    data: Mapping[str, Any] = interaction.data or {}
    attachments = data.get("resolved", {}).get("attachments", {})
    ids: Sequence[str] = ()
    for component in data.get("components", ()):
        field = component.get("component", {})
        if field.get("custom_id") == name:
            ids = field.get("values", ())
    return [Posted.of_json(attachments[id_]) for id_ in ids if id_ in attachments]
