"""What the member of an interaction is allowed where they are, asked before anything is asked for."""

from __future__ import annotations

from dataclasses import replace

import discord

from bot.admission import Admission, admission_of
from bot.errors import MemberError
from bot.job import Reply
from bot.policies.policy import PLAIN, Policy
from bot.policies.problem import of_command
from bot.posting import reply_of
from inference.protocol import ModelInfo, Ready, Reason


def held(interaction: discord.Interaction) -> Policy:
    """What holds for this member here, whatever they have said themselves."""
    return admission_of(interaction).policies.of(reply_of(interaction))


def policy(interaction: discord.Interaction) -> Policy:
    """What holds for this member here, with what they have said once for all."""
    return policy_of(admission_of(interaction), reply_of(interaction))


def policy_of(admission: Admission, reply: Reply) -> Policy:
    """The same for whoever is answered there."""
    own = admission.jobs.members.of(reply.member_id)
    size = (own.width, own.height) if own.width and own.height else None
    return replace(admission.policies.of(reply), own_model=own.model, own_style=own.style, own_size=size)


def offers(interaction: discord.Interaction) -> Ready:
    """What the engine can do, with what is done here where this member does not say."""
    return offers_to(admission_of(interaction), reply_of(interaction))


def offers_to(admission: Admission, reply: Reply) -> Ready:
    """The same for whoever is answered there. The LoRAs of members are among it that they may paint with."""
    ready = policy_of(admission, reply).offered(admission.ready)
    return admission.jobs.loras.offered(ready, reply.member_id, reply.guild_id)


def negative(interaction: discord.Interaction, typed: str | None, model: ModelInfo) -> str | None:
    """What should not be there, for a member who typed this: where they typed nothing, what they have said once for
    all, if the model takes any."""
    return negative_of(admission_of(interaction), interaction.user.id, typed, model)


def negative_of(admission: Admission, member_id: int, typed: str | None, model: ModelInfo) -> str | None:
    """The same for a member by their id."""
    if typed is None and model.negative:
        typed = admission.jobs.members.of(member_id).negative
    return None if typed is None or typed.strip().lower() == PLAIN else typed


async def require(interaction: discord.Interaction, command: str) -> None:
    """Raise MemberError where this member may not use a command here, before they have filled in its form."""
    await admission_of(interaction).access.require(interaction, command)
    here = held(interaction)
    if (reason := here.barred or of_command(command, here)) is not None:
        raise refusal(interaction, reason, command)


def refusal(interaction: discord.Interaction, reason: Reason, command: str) -> MemberError:
    """The error by which this member is refused a command, which is written down."""
    return admission_of(interaction).refusal(reply_of(interaction), reason, command)
