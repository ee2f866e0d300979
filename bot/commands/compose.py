"""/compose: a picture in layers: what it shows, where that is, and in which style. Ends as an /imagine."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, completions, forms, permits
from bot.admission import admission_of
from bot.commands import Fields, Form, Slice
from bot.custom_ids import OfWord
from bot.requests.painting import Options, model_of, resolve
from bot.words import N_, say
from inference.protocol import ModelInfo

OFFERED_STYLES = 25
"""The most that Discord takes in one list."""

PLACEHOLDER_CHARS = 100


def form(model: ModelInfo) -> ui.Modal:
    """The form that asks for the layers, with the styles of this model."""
    modal = forms.form(say("Compose a picture"), "compose", OfWord(model.name))
    for name, label, example, required in (
        ("subject", say("Subject: what the picture shows"), say("a red house"), True),
        ("environment", say("Environment: where, when, in which light"), say("on a meadow at night"), False),
    ):
        field: ui.TextInput[Any] = ui.TextInput(
            custom_id=name,
            placeholder=example[:PLACEHOLDER_CHARS],
            style=discord.TextStyle.paragraph,
            max_length=1000,
            required=required,
        )
        forms.ask(modal, label, field)
    if model.styles:
        styles: ui.Select[Any] = ui.Select(
            custom_id="style",
            placeholder=say("none: the words alone")[:PLACEHOLDER_CHARS],
            options=[
                discord.SelectOption(label=cards.shorten(style.title, 100), value=style.name)
                for style in model.styles[:OFFERED_STYLES]
            ],
            min_values=0,
            required=False,
        )
        forms.ask(modal, say("Style"), styles)
    return modal


@app_commands.command(description=N_("Paint a picture in layers: subject, environment, style"))
@app_commands.describe(model=N_("Which model paints; the styles are those that it knows"))
@app_commands.autocomplete(model=completions.models)
async def compose(interaction: discord.Interaction, model: str | None = None) -> None:
    """/compose."""
    await permits.require(interaction, "imagine")
    await interaction.response.send_modal(form(model_of(model, permits.offers(interaction))))


async def paint(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form; the word is the model's name."""
    admission = admission_of(interaction)
    layers = (fields[name].strip().rstrip(",") for name in ("subject", "environment"))
    prompt = ", ".join(layer for layer in layers if layer)
    ready = permits.offers(interaction)
    negative = permits.negative(interaction, None, model_of(target.word, ready))
    options = Options(prompt=prompt, negative=negative, style=fields.get("style") or None, model=target.word)
    await admission.submit(interaction, resolve(options, ready))


SLICE = Slice(commands=[compose], forms={"compose": Form((OfWord,), paint)})
