"""How jobs look in the log channel: a message of several, each with its state, and with Delete and Block member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from bot import cards
from bot.buttons import JobButton
from bot.job import Job
from bot.words import say

PER_MESSAGE = 5
"""So many jobs a message holds, with two buttons each."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A job as it is now, what is said of it in a line, and its words; None where it is gone."""

    number: int
    job: Job | None
    line: str
    words: str


def message(logged: Sequence[Logged], left_out: int = 0) -> ui.LayoutView:
    """These jobs, and of how many more nothing is said."""
    container: ui.Container[Any] = ui.Container()
    for one in logged:
        if one.job is None:
            gone = say("Job #{job} was deleted.", job=one.number)
            container.add_item(ui.TextDisplay(f"-# {gone}"))
            continue
        container.add_item(ui.TextDisplay("\n".join(filter(None, (one.line, one.words)))))
        delete = JobButton("logdelete", one.number, label=say("Delete"), style=discord.ButtonStyle.danger)
        container.add_item(ui.ActionRow(delete, JobButton("logblock", one.number, label=say("Block member"))))
    if left_out:
        more = say("More jobs than can be shown came at once: /audit has all of them.")
        container.add_item(ui.TextDisplay(f"-# {more}"))
    return cards.layout(container)
