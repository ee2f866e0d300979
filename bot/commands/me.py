"""/me: what a member says once for all that they ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import discord
from discord import app_commands, ui

from bot import cards, forms, permits
from bot.admission import admission_of
from bot.buttons import PanelButton, panel_menu
from bot.commands import Fields, Form, Slice
from bot.costs import CENT, Price
from bot.custom_ids import OfWord
from bot.database import written
from bot.errors import MemberError
from bot.members import Own, PingBy
from bot.panels.page import heading, page, show, small, title
from bot.policies.policy import PLAIN
from bot.requests.painting import model_of
from bot.words import N_, catalogues, say, say_many

NAME = "me"

AFTER_MIN = (1, 5, 15)
"""The minutes that can be chosen."""

LANGUAGES = {catalogues.ENGLISH: "English", "zh-CN": "简体中文"}
"""What languages call themselves; others are called by their code."""

NO_CHOICE = "-"
"""In a menu: what there is where nothing was said."""

GONE = N_("This is not to be chosen any more: send /me again.")

PLACEHOLDER_CHARS = 100


@app_commands.command(name=NAME, description=N_("Your own defaults, your language, and when you want to be told"))
async def me(interaction: discord.Interaction) -> None:
    """/me."""
    await _home(interaction)


async def open_form(interaction: discord.Interaction, _: OfWord, __: Sequence[str]) -> None:
    """The button Change defaults."""
    await admission_of(interaction).access.require(interaction, NAME)
    own = _own(interaction)
    form = forms.form(say("Your defaults"), "defaults", OfWord(""))
    for name, label, value, length, style in (
        ("model", say("Model"), own.model, 100, discord.TextStyle.short),
        ("size", say("Size, as width x height"), _size(own), 20, discord.TextStyle.short),
        ("style", say("Style"), own.style, 100, discord.TextStyle.short),
        ("negative", say("What should not be there"), own.negative, 1000, discord.TextStyle.paragraph),
    ):
        hint = say("Empty: as the server and the model have it")[:PLACEHOLDER_CHARS]
        field: ui.TextInput[Any] = ui.TextInput(
            custom_id=name, default=value, placeholder=hint, style=style, max_length=length, required=False
        )
        forms.ask(form, label, field)
    await interaction.response.send_modal(form)


async def change(interaction: discord.Interaction, _: OfWord, fields: Fields) -> None:
    """Its form."""
    admission = admission_of(interaction)
    await admission.access.require(interaction, NAME)
    typed = {name: fields.get(name, "").strip() or None for name in ("model", "size", "style", "negative")}
    if typed["model"] is not None:
        typed["model"] = model_of(typed["model"], admission.ready).name
    width, height = _read_size(typed.pop("size"))
    known = {style.name for model in admission.ready.models for style in model.styles}
    if typed["style"] not in {None, PLAIN, *known}:
        raise MemberError("No model here has a style called {typed}.", typed=typed["style"] or "")
    await _say(interaction, **typed, width=width, height=height)
    await _home(interaction)


async def choose_language(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menu of languages."""
    await admission_of(interaction).access.require(interaction, NAME)
    [wanted] = values if len(values) == 1 else [""]
    if wanted not in {NO_CHOICE, *catalogues.languages()}:
        raise MemberError(GONE)
    await _say(interaction, language=None if wanted == NO_CHOICE else wanted)
    # At once, also for what is said of it.
    await interaction.client.speak_to(interaction)  # type: ignore[attr-defined]
    await _home(interaction)


async def choose_ping(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menu of when and how to be told."""
    await admission_of(interaction).access.require(interaction, NAME)
    [wanted] = values if len(values) == 1 else [""]
    if wanted == NO_CHOICE:
        await _say(interaction, ping_after_min=None)
        return await _home(interaction)
    by, _colon, minutes = wanted.partition(":")
    if by not in get_args(PingBy) or minutes not in map(str, AFTER_MIN):
        raise MemberError(GONE)
    await _say(interaction, ping_after_min=int(minutes), ping_by=by)
    return await _home(interaction)


async def reset(interaction: discord.Interaction, _: OfWord, __: Sequence[str]) -> None:
    """The button Forget all of this."""
    admission = admission_of(interaction)
    await admission.access.require(interaction, NAME)
    with written("what a member said"):
        await admission.jobs.members.leave_all(interaction.user.id)
    await interaction.client.speak_to(interaction)  # type: ignore[attr-defined]
    await _home(interaction)


def _own(interaction: discord.Interaction) -> Own:
    return admission_of(interaction).jobs.members.of(interaction.user.id)


async def _say(interaction: discord.Interaction, **changes: Any) -> None:
    with written("what a member said"):
        await admission_of(interaction).jobs.members.say(interaction.user.id, **changes)


async def _home(interaction: discord.Interaction) -> None:
    own = _own(interaction)
    unsaid = say("as the server and the model have it")
    said = {
        say("Model"): own.model,
        say("Size"): _size(own),
        say("Style"): own.style,
        say("What should not be there"): own.negative and cards.shorten(own.negative, 300),
    }
    lines = [heading(say("What holds for you"))]
    lines += [f"{title(name)}: {cards.plain(value) if value else unsaid}" for name, value in said.items()]
    policy = permits.policy(interaction)
    for day, month in await admission_of(interaction).jobs.counting.spent_by(interaction.user.id, interaction.guild_id):
        spent = (_spent(day, policy.spent), _spent(month, policy.spent_month))
        named = title(say("Spent here on models of other servers"))
        line = say("{day} in a day, {month} in 30 days", day=spent[0], month=spent[1])
        lines.append(f"{named}: {line}")
    lines.append(
        small(
            say(
                "What you say in a command goes before it; where your model, size or style is not to be had, the"
                " server's is taken. Type `none` as the style or as what should not be there, and there is none."
            )
        )
    )
    languages = [discord.SelectOption(label=say("As my Discord has it"), value=NO_CHOICE, default=not own.language)]
    languages += [
        discord.SelectOption(label=LANGUAGES.get(one, one), value=one, default=own.language == one)
        for one in catalogues.languages()
        if one != catalogues.PSEUDO
    ]
    pings = [discord.SelectOption(label=say("Tell me of nothing"), value=NO_CHOICE, default=not own.ping_after_min)]
    for by in get_args(PingBy):
        for minutes in AFTER_MIN:
            chosen = (own.ping_after_min, own.ping_by) == (minutes, by)
            pings.append(discord.SelectOption(label=_told(by, minutes), value=f"{by}:{minutes}", default=chosen))
    buttons = [
        PanelButton("medefaults", label=say("Change defaults"), style=discord.ButtonStyle.primary),
        PanelButton("mereset", label=say("Forget all of this")),
    ]
    rows: list[list[ui.Item[Any]]] = [
        [panel_menu("melanguage", "", languages, placeholder=say("Language")[:PLACEHOLDER_CHARS])],
        [panel_menu("meping", "", pings, placeholder=say("When to tell me")[:PLACEHOLDER_CHARS])],
        [*buttons],
    ]
    await show(interaction, page(lines, rows))


def _spent(price: Price, most: int | None) -> str:
    """What was spent, and of how many hundredths."""
    if most is None:
        return price.said
    return say("{spent} of {most}", spent=price.said, most=Price(price.currency, most * CENT).said)


def _told(by: str, minutes: int) -> str:
    if by == "channel":
        return say_many("Mention me when I waited {count} minute", "Mention me when I waited {count} minutes", minutes)
    return say_many("Write to me when I waited {count} minute", "Write to me when I waited {count} minutes", minutes)


def _size(own: Own) -> str | None:
    return f"{own.width}x{own.height}" if own.width and own.height else None


def _read_size(typed: str | None) -> tuple[int | None, int | None]:
    if typed is None:
        return None, None
    match = re.fullmatch(r"([0-9]{1,5})\s*[xX×*]\s*([0-9]{1,5})", typed)
    if match is None or not int(match[1]) or not int(match[2]):
        raise MemberError("Size {typed} is not a width and a height: write it like 512x768.", typed=typed)
    return int(match[1]), int(match[2])


SLICE = Slice(
    commands=[me],
    panel={"medefaults": open_form, "melanguage": choose_language, "meping": choose_ping, "mereset": reset},
    forms={"defaults": Form((OfWord,), change)},
)
