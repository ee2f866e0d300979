"""The commands, one file each: found here by themselves, so that a new one is a new file and nothing else.

Every file has `build(admission) -> Slice`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import discord
from discord import app_commands

from bot.admission import Admission
from bot.cards import Look
from bot.job import Job

Press = Callable[[discord.Interaction, Job, int], Awaitable[None]]
"""What a button does: the interaction, the job it stands under, the index of the picture it means."""

Form = Callable[[discord.Interaction, Job, Mapping[str, str]], Awaitable[None]]
"""What a submitted modal does: the interaction, the job it is about, its fields by custom_id."""

MessageForm = Callable[[discord.Interaction, int, Mapping[str, str]], Awaitable[None]]
"""The same for a modal about a message: its id stands for the job."""

NewForm = Callable[[discord.Interaction, str, Mapping[str, str]], Awaitable[None]]
"""The same for a modal about nothing that there is: the word that it was opened with stands for the job."""

FORM_LIFE_S = 15 * 60
"""How long discord.py remembers a form that was opened; a later answer to it is understood all the same."""


@dataclass(frozen=True)
class Slice:
    """What one file adds to the bot; `kind` is the tag of the requests that `look` shows."""

    commands: Sequence[app_commands.Command[Any, ..., Any] | app_commands.ContextMenu] = ()
    presses: Mapping[str, Press] = field(default_factory=dict)
    forms: Mapping[str, Form] = field(default_factory=dict)
    message_forms: Mapping[str, MessageForm] = field(default_factory=dict)
    new_forms: Mapping[str, NewForm] = field(default_factory=dict)


def looks() -> dict[str, Look]:
    """How each kind of request looks: every file that has a kind of its own names its `LOOK`."""
    return {module.KIND: module.LOOK for module in _modules() if hasattr(module, "KIND")}


def commands_of_kinds() -> dict[str, str]:
    """Which command a member must be allowed to use for each kind of request: the file's own, unless it names one."""
    return {module.KIND: getattr(module, "COMMAND", module.KIND) for module in _modules() if hasattr(module, "KIND")}


def load(admission: Admission) -> list[Slice]:
    """Every file's slice."""
    return [module.build(admission) for module in _modules()]


def _modules() -> list[Any]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]
