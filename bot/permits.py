"""What the member of an interaction is allowed where they are, asked before anything is asked for."""

from __future__ import annotations

import discord

from bot.admission import admission_of
from bot.errors import MemberError
from bot.policies.policy import Policy
from bot.policies.problem import of_command
from bot.posting import reply_of
from inference.protocol import Ready


def policy(interaction: discord.Interaction) -> Policy:
    """What holds for this member here."""
    return admission_of(interaction).policies.of(reply_of(interaction))


def offers(interaction: discord.Interaction) -> Ready:
    """What the engine can do, with what is done here where this member does not say."""
    return policy(interaction).offered(admission_of(interaction).ready)


async def require(interaction: discord.Interaction, command: str) -> None:
    """Raise MemberError where this member may not use a command here, before they have filled in its form."""
    await admission_of(interaction).access.require(interaction, command)
    held = policy(interaction)
    if (reason := held.barred or of_command(command, held)) is not None:
        raise MemberError.of(reason)
