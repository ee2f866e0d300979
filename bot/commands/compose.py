"""/compose: a picture in layers: what it shows, where that is, and in which style. Ends as an /imagine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import discord
from discord import app_commands, ui
from discord.app_commands import Choice

from bot import cards, sources
from bot.admission import Admission
from bot.commands import FORM_LIFE_S, Slice
from bot.requests.painting import Wish, model_of, settle
from inference.protocol import ModelInfo

OFFERED_STYLES = 25
"""The most that Discord takes in one list."""


def form(model: ModelInfo) -> ui.Modal:
    """The form that asks for the layers, with the styles of this model."""
    modal = ui.Modal(title="Compose a picture", custom_id=f"easel:new:compose:{model.name}", timeout=FORM_LIFE_S)
    for name, label, example, required in (
        ("subject", "Subject: what the picture shows", "a red house", True),
        ("environment", "Environment: where, when, in which light", "on a meadow at night", False),
    ):
        field: ui.TextInput[Any] = ui.TextInput(
            custom_id=name,
            placeholder=example,
            style=discord.TextStyle.paragraph,
            max_length=1000,
            required=required,
        )
        modal.add_item(ui.Label(text=label, component=field))
    if model.styles:
        styles: ui.Select[Any] = ui.Select(
            custom_id="style",
            placeholder="none: the words alone",
            options=[
                discord.SelectOption(label=cards.shorten(style.title, 100), value=style.name)
                for style in model.styles[:OFFERED_STYLES]
            ],
            min_values=0,
            required=False,
        )
        modal.add_item(ui.Label(text="Style", component=styles))
    return modal


def build(admission: Admission) -> Slice:
    """The command and its form."""

    @app_commands.command(name="compose", description="Paint a picture in layers: subject, environment, style")
    @app_commands.describe(model="Which model paints; the styles are those that it knows")
    async def compose(interaction: discord.Interaction, model: str | None = None) -> None:
        await interaction.response.send_modal(form(model_of(model, admission.ready)))

    @compose.autocomplete("model")
    async def models(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(admission.ready.models, typed)

    async def composed(interaction: discord.Interaction, model: str, fields: Mapping[str, str]) -> None:
        layers = (fields[name].strip().rstrip(",") for name in ("subject", "environment"))
        prompt = ", ".join(layer for layer in layers if layer)
        wish = Wish(prompt=prompt, style=fields.get("style") or None, model=model)
        await admission.submit(interaction, settle(wish, admission.ready))

    return Slice(commands=[compose], new_forms={"compose": composed})
