"""How the panel of /settings looks: all that is set in a server or a channel, and a page for each thing.

Its buttons and menus say in their words of which channel they are (0 for the whole server), of what, and which page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot import cards, custom_ids
from bot.buttons import MENU_CHARS, OFFERED, PanelButton, panel_menu
from bot.custom_ids import OfWord
from bot.panels.page import page as laid_out
from bot.panels.scope import LISTS, MEMBERS, ROLES, WORDS, Scope, chosen_of, count_of, state_of
from bot.policies.policy import SETTINGS
from bot.policies.settings import Among, Channel
from bot.words import say

WORDS_LISTED, MEMBERS_LISTED = 18, 40
"""So many of them a page shows: the longest words, with all their signs escaped, leave room for no more."""

CHANNELS = [
    discord.ChannelType.text,
    discord.ChannelType.news,
    discord.ChannelType.forum,
    discord.ChannelType.voice,
    discord.ChannelType.stage_voice,
]


def home(scope: Scope) -> ui.LayoutView:
    """All that is set, and the ways to change it."""
    channel = f"<#{scope.channel_id}>"
    heading = say("Settings of {channel}", channel=channel) if scope.channel_id else say("Settings of this server")
    lines = [f"## {heading}"]
    options = []
    for name, setting in scope.settings.items():
        title, state = say(setting.title), state_of(scope, name)
        lines.append(f"**{title}**: {state if isinstance(setting, Channel) else cards.plain(state)}")
        # In a menu a channel's mention would be a number.
        options.append(_option(title, name, description=None if isinstance(setting, Channel) else state))
    for name, title in scope.lists.items():
        lines.append(f"**{say(title)}**: {count_of(scope, name)}")
        options.append(_option(say(title), name, description=count_of(scope, name)))
    channels: ui.ChannelSelect[Any] = ui.ChannelSelect(
        custom_id=custom_ids.make("settingscope", OfWord("")),
        channel_types=CHANNELS,
        placeholder=say("Settings of a channel")[:MENU_CHARS],
    )
    change = panel_menu("settingpick", str(scope.channel_id), options[:OFFERED], placeholder=say("Change a setting"))
    rows: list[list[ui.Item[Any]]] = [[change], [channels]]
    if more := options[OFFERED:]:
        menu = panel_menu("settingmore", str(scope.channel_id), more, placeholder=say("More settings"))
        rows.insert(1, [menu])
    if scope.channel_id:
        rows.append([PanelButton("settings", "0", label=say("The whole server"))])
    return laid_out(lines, rows)


def page(scope: Scope, name: str, number: int = 0) -> ui.LayoutView:
    """The page of a setting that is chosen from a menu, or of a list."""
    if name == WORDS:
        return _words(scope, number)
    if isinstance(scope.settings.get(name), Channel):
        return _channel(scope, name)
    if name == MEMBERS:
        return _members(scope, number)
    return _roles(scope) if name == ROLES else _choices(scope, name, number)


def _choices(scope: Scope, name: str, number: int) -> ui.LayoutView:
    setting, there = scope.settings[name], scope.offers(name)
    several = isinstance(setting, Among)
    chosen = chosen_of(scope, name)
    number, pages, shown = _paged(list(there.items()), number, OFFERED)
    lines = [f"## {say(setting.title)}", cards.plain(state_of(scope, name))]
    if several:
        lines.append(say("What is chosen is allowed, and nothing else."))
    rows: list[list[ui.Item[Any]]] = []
    if shown:
        options = [_option(title, one, default=one in chosen) for one, title in shown]
        menu = panel_menu(
            "settingchoose",
            f"{scope.channel_id}:{name}:{number}",
            options,
            placeholder=say("None") if several else say("Choose one"),
            least=0 if several else 1,
            most=len(options) if several else 1,
        )
        rows.append([menu])
    leave = say("As the server says") if scope.channel_id else say("All are allowed") if several else say("No default")
    clear = PanelButton("settingclear", f"{scope.channel_id}:{name}", label=leave, disabled=name not in scope.own)
    return laid_out(lines, [*rows, [_back(scope), clear, *_turning(scope, name, number, pages)]])


def _channel(scope: Scope, name: str) -> ui.LayoutView:
    setting, own = scope.settings[name], scope.own.get(name)
    lines = [f"## {say(setting.title)}", state_of(scope, name)]
    lines.append(say("Every job is told there, with buttons to delete it and to block its member."))
    channels: ui.ChannelSelect[Any] = ui.ChannelSelect(
        custom_id=custom_ids.make("settingchoose", OfWord(f"{scope.channel_id}:{name}:0")),
        channel_types=[discord.ChannelType.text, discord.ChannelType.news],
        placeholder=say("Choose one")[:MENU_CHARS],
    )
    clear = PanelButton("settingclear", f"{scope.channel_id}:{name}", label=say("None"), disabled=own is None)
    return laid_out(lines, [[channels], [_back(scope), clear]])


def _words(scope: Scope, number: int) -> ui.LayoutView:
    """Nobody reads them by chance: they are shown behind spoilers."""
    words = list(scope.policies.words(scope.place).words.items())
    number, pages, shown = _paged(words, number, WORDS_LISTED)
    lines = [f"## {say(LISTS[WORDS])}"]
    lines += [f"{count}. ||{discord.utils.escape_markdown(word)}||" for count, word in shown] or [say("none")]
    if scope.channel_id:
        lines.append(say("The list of the server is in force here too."))
    block = PanelButton("blockwords", str(scope.channel_id), label=say("Block words"))
    allow = PanelButton("allowwords", str(scope.channel_id), label=say("Allow words again"), disabled=not words)
    return laid_out(lines, [[_back(scope), block, allow], _turning(scope, WORDS, number, pages)])


def _members(scope: Scope, number: int) -> ui.LayoutView:
    number, pages, shown = _paged(sorted(scope.policies.blocked(scope.guild_id)), number, MEMBERS_LISTED)
    lines = [f"## {say(LISTS[MEMBERS])}", " ".join(f"<@{one}>" for one in shown) or say("none")]
    lines.append(say("Choose a member to block them, or to let them in again."))
    users: ui.UserSelect[Any] = ui.UserSelect(
        custom_id=custom_ids.make("blockmember", OfWord(str(number))), placeholder=say("A member")[:MENU_CHARS]
    )
    return laid_out(lines, [[users], [_back(scope), *_turning(scope, MEMBERS, number, pages)]])


def _roles(scope: Scope) -> ui.LayoutView:
    lines = [f"## {say(LISTS[ROLES])}"]
    lines.append(say("Of a member's roles the most generous counts. Choose a role to set its limits."))
    limits = {name: one for name, one in SETTINGS.items() if one.of_roles}
    for role_id, held in scope.policies.roles_of(scope.guild_id).items():
        said = [f"{say(one.title)} {held[name]}" for name, one in limits.items() if name in held]
        lines.append(f"<@&{role_id}>: {', '.join(said)}")
    roles: ui.RoleSelect[Any] = ui.RoleSelect(
        custom_id=custom_ids.make("rolelimits", OfWord("")), placeholder=say("A role")[:MENU_CHARS]
    )
    return laid_out(lines, [[roles], [_back(scope)]])


def _option(title: str, value: str, *, description: str | None = None, default: bool = False) -> discord.SelectOption:
    said = None if description is None else cards.shorten(description, MENU_CHARS)
    return discord.SelectOption(label=cards.shorten(title, MENU_CHARS), value=value, description=said, default=default)


def _paged(whole: Sequence[Any], number: int, size: int) -> tuple[int, int, Sequence[Any]]:
    """The number of a page that there is, how many there are, and what is on it."""
    pages = max(-(-len(whole) // size), 1)
    number = min(max(number, 0), pages - 1)
    return number, pages, whole[number * size : (number + 1) * size]


def _turning(scope: Scope, name: str, number: int, pages: int) -> list[ui.Item[Any]]:
    """The buttons to other pages, where there are any."""
    if pages == 1:
        return []
    return [
        PanelButton("settingpage", f"{scope.channel_id}:{name}:{to}", label=label, disabled=not 0 <= to < pages)
        for to, label in ((number - 1, say("Previous")), (number + 1, say("Next")))
    ]


def _back(scope: Scope) -> PanelButton:
    return PanelButton("settings", str(scope.channel_id), label=say("Back"))
