"""The commands, one file each: found here by themselves, so that a new one is a new file and nothing else.

Every file ends in `SLICE`, all that it adds to the bot.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import discord
from discord import app_commands

from bot.cards import Look
from bot.custom_ids import OfJob, OfWord, Target

Fields = Mapping[str, str]
"""What was typed and chosen in a form, by the custom_ids of its fields; "" where nothing was."""

Command = app_commands.Command[Any, ..., Any] | app_commands.ContextMenu

Press = Callable[[discord.Interaction, OfJob], Awaitable[None]]
"""What a button does with its target, which anybody can forge: `sources` says what this member may see of it."""

Use = Callable[[discord.Interaction, OfWord, Sequence[str]], Awaitable[None]]
"""What a button or menu of a panel does, with its word, which anybody can forge, and the values that were chosen."""

About = TypeVar("About", bound=Target)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Form(Generic[About]):
    """What a submitted modal does, on the same terms, and what it can be about."""

    about: tuple[type[About], ...]
    submit: Callable[[discord.Interaction, About, Fields], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """What one file adds to the bot; custom_ids name its presses, forms and the parts of its panels."""

    kind: str | None = None
    """The tag of the requests that are its own."""
    look: Look | None = None
    """How they look. Both or neither."""
    command: str | None = None
    """Which command a member must be allowed to use for them, where that is not called as the kind is."""
    commands: Sequence[Command] = ()
    presses: Mapping[str, Press] = field(default_factory=dict)
    panel: Mapping[str, Use] = field(default_factory=dict)
    forms: Mapping[str, Form[Any]] = field(default_factory=dict)


class Slices:
    """What all the files add to the bot."""

    def __init__(self, slices: Mapping[str, Slice]) -> None:
        """Raises ValueError where two of them claim the same, or where a kind has no look."""
        self.commands: dict[tuple[type[Command], str], Command] = {}
        self.looks: dict[str, Look] = {}
        self.commands_of_kinds: dict[str, str] = {}
        """Which command a member must be allowed to use for each kind of request."""
        self.presses: dict[str, Press] = {}
        self.panels: dict[str, Use] = {}
        self.forms: dict[str, Form[Any]] = {}
        for name, slice_ in slices.items():
            if (slice_.kind is None) != (slice_.look is None):
                raise ValueError(f"{name}: a kind and its look belong together")
            if slice_.kind is not None and slice_.look is not None:
                _claim(self.looks, slice_.kind, slice_.look, name)
                self.commands_of_kinds[slice_.kind] = slice_.command or slice_.kind
            for command in slice_.commands:
                _claim(self.commands, (type(command), command.name), command, name)
            for action, press in slice_.presses.items():
                _claim(self.presses, action, press, name)
            for action, use in slice_.panel.items():
                _claim(self.panels, action, use, name)
            for action, form in slice_.forms.items():
                _claim(self.forms, action, form, name)
        self.names = frozenset(name for kind, name in self.commands if issubclass(kind, app_commands.Command))
        """What the commands are called that members type."""
        self.all_names = frozenset({*(name for _, name in self.commands), *self.presses, *self.panels, *self.forms})
        """What commands, buttons, menus and forms are called."""


def load() -> Slices:
    """What the files here add to the bot."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return Slices({name: importlib.import_module(f"{__name__}.{name}").SLICE for name in names})


def _claim(claimed: MutableMapping[Any, Value], what: object, value: Value, name: str) -> None:
    if what in claimed:
        raise ValueError(f"{name}: {what!r} is another file's already")
    claimed[what] = value
