"""The forms of /settings: numbers, and words."""

from __future__ import annotations

from typing import Any

import discord
from discord import ui

from bot import forms
from bot.custom_ids import OfWord
from bot.panels.scope import Scope
from bot.policies.kept import Place
from bot.policies.policy import SETTINGS
from bot.policies.settings import Most, MostPixels, Setting, Value
from bot.words import say


def number_form(scope: Scope, name: str) -> ui.Modal:
    """The form that asks for a number."""
    setting = scope.settings[name]
    form = forms.form(say(setting.title), "settingnumber", OfWord(f"{scope.channel_id}:{name}"))
    hint = say("Empty: as the server says") if scope.channel_id else say("Empty: no limit")
    _ask(form, name, hint, scope.own.get(name), setting)
    return form


def role_form(scope: Scope, role: discord.Role) -> ui.Modal:
    """The form that asks for the limits of a role."""
    held = scope.policies.set_in(Place(scope.guild_id, role_id=role.id))
    form = forms.form(say("Limits of {role}", role=role.name), "rolelimits", OfWord(str(role.id)))
    for name, setting in SETTINGS.items():
        if setting.of_roles:
            _ask(form, name, say(setting.title), held.get(name), setting)
    return form


def words_form(scope: Scope, *, block: bool) -> ui.Modal:
    """The form that asks for words to block, or for the numbers of those to allow again."""
    title = say("Block words") if block else say("Allow words again")
    form = forms.form(title, "blockwords" if block else "allowwords", OfWord(str(scope.channel_id)))
    label = say("Words and phrases, one a line") if block else say("Their numbers, with commas between them")
    field: ui.TextInput[Any] = ui.TextInput(custom_id="words", style=discord.TextStyle.paragraph, max_length=4000)
    forms.ask(form, label, field)
    return form


def _ask(form: ui.Modal, name: str, label: str, value: Value | None, setting: Setting) -> None:
    assert isinstance(setting, Most)
    example = f"1024x1024 · {setting.least}-{setting.most}" if isinstance(setting, MostPixels) else None
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id=name,
        default=None if value is None else str(value),
        placeholder=example or f"{setting.least}-{setting.most}",
        max_length=20,
        required=False,
    )
    forms.ask(form, label, field)
