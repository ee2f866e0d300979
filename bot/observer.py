"""Who is told what happens to jobs and in interactions: this one listens to nothing. `watch.metrics` counts.

It is told in passing: nothing here waits, fails or changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import discord

from bot import custom_ids
from bot.job import Job
from inference.protocol import Preview, Progress, Reason

Kind = Literal["command", "completion", "button", "form"]
"""How a member acts: by a command or the menu of a message, by typing an option, by what is under a message, by a form.
"""


class Observer:
    """Nobody. Whoever wants to hear of something overrides it."""

    def connected(self) -> None:
        """Discord has taken the bot, or has it back."""

    def interacted(self, interaction_id: int, kind: Kind, name: str) -> None:
        """A member has acted, as `acted` says, and Discord waits for the first answer."""

    def refused(self, name: str, reason: Reason) -> None:
        """What a member wanted by this command or button cannot be done, and they were told why: there is no job."""

    def broke(self) -> None:
        """Something that nobody foresaw went wrong in an interaction, and its member was told so."""

    def late(self) -> None:
        """Discord takes no answer to an interaction any more."""

    def accepted(self, job: Job) -> None:
        """A job waits for its turn, for the first time or again."""

    def departed(self, jobs: Sequence[Job]) -> None:
        """These jobs share a pass, which nobody can join any more."""

    def got_on(self, event: Progress | Preview) -> None:
        """A job moved on, as its engine says."""

    def ended(self, job: Job) -> None:
        """A job is finished, failed or cancelled, as it says."""

    def made_before(self, job: Job) -> None:
        """The same has ended with what an earlier one had made."""

    def delivered(self, job: Job) -> None:
        """The member of a job has its end before them."""

    def forgotten(self, job_id: int) -> None:
        """A job is gone; it may not have ended."""


def acted(interaction: discord.Interaction) -> tuple[Kind, str]:
    """How a member has acted, and what it is called: the command, or what the button or form does. Anybody can forge
    the latter."""
    data: Mapping[str, Any] = interaction.data or {}
    if interaction.type is discord.InteractionType.application_command:
        return "command", str(data.get("name"))
    if interaction.type is discord.InteractionType.autocomplete:
        return "completion", str(data.get("name"))
    action, _ = custom_ids.parse(str(data.get("custom_id"))) or ("", None)
    return "form" if interaction.type is discord.InteractionType.modal_submit else "button", action
