"""/settings: what is allowed in a server and its channels. What the buttons, menus and forms of its panel do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import discord
from discord import app_commands

from bot.admission import admission_of
from bot.buttons import OFFERED
from bot.commands import Fields, Form, Slice
from bot.custom_ids import OfWord, number_in
from bot.database import written
from bot.errors import MemberError
from bot.panels import settings as panel
from bot.panels import settings_forms
from bot.panels.page import show
from bot.panels.scope import MEMBERS, ROLES, WORDS, Scope, chosen_of
from bot.policies.kept import Place
from bot.policies.policy import ALWAYS, SETTINGS
from bot.policies.settings import Among, Channel, Most, MostPixels, Value
from bot.words import N_

NAME = "settings"

GONE = N_("This is not to be chosen any more: send /settings again.")


@app_commands.command(name=NAME, description=N_("Say what members may do in this server and its channels"))
@app_commands.default_permissions(manage_guild=True)
async def settings(interaction: discord.Interaction) -> None:
    """/settings."""
    await show(interaction, panel.home(await _scope(interaction, "0")))


async def open_home(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons Back and The whole server."""
    await show(interaction, panel.home(await _scope(interaction, target.word)))


async def choose_scope(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menu of channels."""
    await show(interaction, panel.home(await _scope(interaction, _one(values))))


async def pick(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menu of settings: a page of its own, or a form for a number."""
    scope, name = await _scope(interaction, target.word), _one(values)
    if isinstance(scope.settings.get(name), Most):
        await interaction.response.send_modal(settings_forms.number_form(scope, name))
    else:
        await show(interaction, panel.page(scope, _there(scope, name)))


async def turn(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons to other pages."""
    channel, name, number = _parts(target, 3)
    scope = await _scope(interaction, channel)
    if isinstance(scope.settings.get(name), Most):
        raise MemberError(GONE)
    await show(interaction, panel.page(scope, _there(scope, name), number_in(number, digits=4) or 0))


async def choose(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menu of a setting: of what it shows, what was chosen is allowed, or is the one."""
    channel, name, number = _parts(target, 3)
    scope = await _scope(interaction, channel)
    setting = scope.settings.get(name)
    if setting is None or isinstance(setting, Most):
        raise MemberError(GONE)
    if isinstance(setting, Channel):
        chosen = None if interaction.guild is None else interaction.guild.get_channel(_id(_one(values)))
        if not isinstance(chosen, discord.TextChannel):
            raise MemberError(GONE)
        scope.policies.closed_logs.pop(scope.guild_id, None)
        await _put(scope, scope.place, name, chosen.id)
        await show(interaction, panel.page(scope, name))
        return
    there = scope.offers(name)
    if not {*values} <= there.keys():
        raise MemberError(GONE)
    value: Value | None
    if isinstance(setting, Among):
        page = number_in(number, digits=4) or 0
        shown = list(there)[page * OFFERED : (page + 1) * OFFERED]
        value = chosen_of(scope, name) - {*shown} | {*values}
        if not scope.channel_id and value >= there.keys():
            # What comes later is then allowed as well.
            value = None
    else:
        value = _one(values)
    await _put(scope, scope.place, name, value)
    await show(interaction, panel.page(scope, name, number_in(number, digits=4) or 0))


async def clear(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button that leaves a setting to what is around it."""
    channel, name = _parts(target, 2)
    scope = await _scope(interaction, channel)
    if isinstance(scope.settings.get(name), Most | None):
        raise MemberError(GONE)
    await _put(scope, scope.place, name, None)
    await show(interaction, panel.page(scope, name))


async def set_number(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """The form of a number."""
    channel, name = _parts(target, 2)
    scope = await _scope(interaction, channel)
    if not isinstance(scope.settings.get(name), Most):
        raise MemberError(GONE)
    await _put(scope, scope.place, name, _read(name, fields))
    await show(interaction, panel.home(scope))


async def open_words(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Block words."""
    await interaction.response.send_modal(settings_forms.words_form(await _scope(interaction, target.word), block=True))


async def open_numbers(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Allow words again."""
    await interaction.response.send_modal(
        settings_forms.words_form(await _scope(interaction, target.word), block=False)
    )


async def block_words(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    scope = await _scope(interaction, target.word)
    with written("a setting"):
        await scope.policies.block_words(scope.place, fields.get("words", "").splitlines(), scope.by)
    await show(interaction, panel.page(scope, WORDS))


async def allow_words(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    scope = await _scope(interaction, target.word)
    typed = fields.get("words", "")
    if not re.fullmatch(r"[0-9\s,，、.;#]*", typed, re.ASCII):
        raise MemberError("Write the numbers that stand before the words, with commas between them: 3, 7.")
    with written("a setting"):
        await scope.policies.allow_words(scope.place, map(int, re.findall("[0-9]{1,6}", typed)), scope.by)
    await show(interaction, panel.page(scope, WORDS))


async def block_member(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menu of members: who is chosen is blocked, or let in again."""
    scope = await _scope(interaction, "0")
    member_id = _id(_one(values))
    with written("a setting"):
        blocked = member_id not in scope.policies.blocked(scope.guild_id)
        await scope.policies.block(scope.guild_id, member_id, blocked=blocked, by=scope.by)
    await show(interaction, panel.page(scope, MEMBERS, number_in(target.word, digits=4) or 0))


async def open_limits(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menu of roles."""
    scope = await _scope(interaction, "0")
    await interaction.response.send_modal(settings_forms.role_form(scope, _role(interaction, _one(values))))


async def set_limits(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    scope = await _scope(interaction, "0")
    role = _role(interaction, target.word)
    values = {name: _read(name, fields) for name, setting in SETTINGS.items() if setting.of_roles}
    for name, value in values.items():
        await _put(scope, Place(scope.guild_id, role_id=role.id), name, value)
    await show(interaction, panel.page(scope, ROLES))


async def _scope(interaction: discord.Interaction, channel: str) -> Scope:
    """What the panel is about, which anybody can forge. Raises MemberError where it belongs to nobody here, or where
    this member may not use /settings."""
    admission, guild = admission_of(interaction), interaction.guild
    await admission.access.require(interaction, NAME)
    if guild is None or not isinstance(interaction.user, discord.Member):
        raise MemberError("Settings belong to a server: send /settings in one that you look after.")
    channel_id = 0
    if channel != "0":
        there = guild.get_channel_or_thread(_id(channel))
        if there is None:
            raise MemberError("There is no such channel here any more: send /settings again.")
        channel_id = (there.parent_id if isinstance(there, discord.Thread) else there.id) or 0
    tree: app_commands.CommandTree[Any] = cast(Any, interaction.client).tree
    typed = {command.name for command in tree.get_commands(type=discord.AppCommandType.chat_input)}
    return Scope(guild.id, channel_id, admission.policies, admission.ready, typed - ALWAYS, interaction.user.id)


def _there(scope: Scope, name: str) -> str:
    if name not in scope.settings and name not in scope.lists:
        raise MemberError(GONE)
    return name


def _read(name: str, fields: Fields) -> Value | None:
    """A number that was typed; None where nothing was. Raises MemberError where it does not fit."""
    setting, typed = SETTINGS[name], fields.get(name, "").strip()
    assert isinstance(setting, Most)
    if not typed:
        return None
    try:
        return setting.read(typed)
    except ValueError as error:
        if isinstance(setting, MostPixels):
            raise MemberError("{typed} is no size: write one like 1024x1024.", typed=typed) from error
        raise MemberError(
            "{typed} does not fit: write a whole number from {least} to {most}, or nothing.",
            typed=typed,
            least=setting.least,
            most=setting.most,
        ) from error


async def _put(scope: Scope, place: Place, name: str, value: Value | None) -> None:
    with written("a setting"):
        await scope.policies.put(place, name, value, scope.by)


def _one(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise MemberError(GONE)
    return values[0]


def _parts(target: OfWord, count: int) -> list[str]:
    parts = target.word.split(":")
    if len(parts) != count:
        raise MemberError(GONE)
    return parts


def _id(text: str) -> int:
    if (number := number_in(text, digits=19)) is None or number >= 2**63:
        raise MemberError(GONE)
    return number


def _role(interaction: discord.Interaction, text: str) -> discord.Role:
    role = interaction.guild.get_role(_id(text)) if interaction.guild is not None else None
    if role is None:
        raise MemberError(GONE)
    return role


SLICE = Slice(
    commands=[settings],
    panel={
        "settings": open_home,
        "settingscope": choose_scope,
        "settingpick": pick,
        "settingmore": pick,
        "settingpage": turn,
        "settingchoose": choose,
        "settingclear": clear,
        "blockwords": open_words,
        "allowwords": open_numbers,
        "blockmember": block_member,
        "rolelimits": open_limits,
    },
    forms={
        "settingnumber": Form((OfWord,), set_number),
        "blockwords": Form((OfWord,), block_words),
        "allowwords": Form((OfWord,), allow_words),
        "rolelimits": Form((OfWord,), set_limits),
    },
)
