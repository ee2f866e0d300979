"""Forms that outlive the bot: what one is about stands in its custom_id. In whatever language, they are cut to what
Discord takes.
"""

from __future__ import annotations

from typing import Any

from discord import ui

from bot import custom_ids
from bot.custom_ids import Target

LIFE_S = 15 * 60
"""How long discord.py remembers a form that was opened; a later answer to it is understood all the same."""

TITLE_CHARS, LABEL_CHARS = 45, 45
"""The most that Discord takes."""


def form(title: str, action: str, target: Target) -> ui.Modal:
    """A form that does this to its target, to which `ask` adds."""
    return ui.Modal(title=title[:TITLE_CHARS], custom_id=custom_ids.make(action, target), timeout=LIFE_S)


def ask(of: ui.Modal, label: str, field: ui.Item[Any]) -> None:
    """Add a field, under its label, to a form."""
    of.add_item(ui.Label(text=label[:LABEL_CHARS], component=field))
