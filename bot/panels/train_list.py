"""How trainings look in a list, and the question whether one is to be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot import cards
from bot.buttons import MENU_CHARS, OFFERED, PanelButton, panel_menu
from bot.panels import page
from bot.panels.train import KINDS, STATES
from bot.training.states import Training
from bot.words import say

LISTED = 15
"""So many a list shows, newest first: a member has no more than twenty."""


def home(trainings: Sequence[Training], *, of_server: bool, moderates: bool, able: bool) -> ui.LayoutView:
    """A member's trainings, or a server's for who moderates it; `able` is whether any model can be taught."""
    lines = [page.heading(say("Trainings of this server") if of_server else say("Your trainings"))]
    for one in trainings[:LISTED]:
        whose = f" · <@{one.member_id}>" if of_server else ""
        lines.append(f"**{cards.plain(one.name)}** · {say(STATES[one.state])}{whose}")
        lines.append(page.small(_facts(one)))
    if len(trainings) > LISTED:
        lines.append(page.small(f"+{len(trainings) - LISTED}"))
    if not trainings:
        lines.append(
            say("Nobody trains anything here yet.")
            if of_server
            else say("You have none yet: from 5 pictures of a style or a subject a LoRA learns to paint it.")
        )
    if not able:
        lines.append(say("No model here can be taught: ask whoever runs this bot."))
    rows: list[list[ui.Item[Any]]] = []
    if trainings:
        options = [
            discord.SelectOption(
                label=cards.shorten(f"{one.name} · {say(STATES[one.state])}", MENU_CHARS),
                value=str(one.id),
                description=cards.shorten(f"#{one.id} · {one.model}", MENU_CHARS),
            )
            for one in trainings[:OFFERED]
        ]
        rows.append([panel_menu("trainopen", "", options, placeholder=say("Open one of them"))])
    buttons: list[ui.Item[Any]] = [
        PanelButton("trainnew", label=say("New training"), style=discord.ButtonStyle.primary, disabled=not able)
    ]
    if of_server:
        buttons.append(PanelButton("train", label=say("Your trainings")))
    elif moderates:
        buttons.append(PanelButton("train", "server", label=say("Trainings of this server")))
    return page.page(lines, [*rows, buttons])


def sure(training: Training) -> ui.LayoutView:
    """The question whether all of it is to be deleted."""
    lines = [
        page.heading(say("Delete {name}?", name=cards.plain(training.name))),
        say("Its pictures, its captions and what came of it are removed, and it is stopped where it goes on."),
    ]
    buttons = [
        PanelButton("traindelete", f"{training.id}:sure", label=say("Delete"), style=discord.ButtonStyle.danger),
        PanelButton("train", str(training.id), label=say("Back")),
    ]
    return page.page(lines, [buttons])


def _facts(training: Training) -> str:
    facts = [f"#{training.id}", say(KINDS[training.kind]), cards.plain(training.model)]
    if training.state in ("training", "stopped", "failed") and training.steps:
        facts.append(f"{training.step}/{training.steps}")
    facts.append(f"<t:{training.changed_at:.0f}:R>")
    return " · ".join(facts)
