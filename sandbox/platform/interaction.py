"""One interaction: what is kept of it, and how Discord and the member API write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.community.people import EASEL, EASEL_ID
from sandbox.community.world import World

Json = dict[str, Any]

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5  # interaction types
IN_GUILD, IN_DIRECT_MESSAGES = 0, 1  # interaction contexts
SENT, DEFERRED, REPLIED, MODAL, FAILED = "sent", "deferred", "replied", "modal", "failed"


class Interaction(msgspec.Struct, kw_only=True):
    """One interaction as it is kept."""

    id: int
    token: str
    type: int
    member_id: int
    channel_id: int
    data: Json
    created: float
    state: str = SENT
    failed_reason: str | None = None
    acknowledged: bool = False
    silent: bool = False  # deferred without a promise of a new message: nothing is owed after that
    original_id: int | None = None  # what `@original` means
    source_id: int | None = None  # the message whose component was used
    opened_by: int | None = None  # for a submitted form: the interaction that opened it
    message_ids: list[int] = []
    modal: Json | None = None
    submitted: bool = False
    choices: list[Json] = []


@dataclass(frozen=True)
class Terms:
    """What an interaction tells the bot about its limits; without `permissions` the bot has its ordinary ones."""

    attachment_size_limit: int
    permissions: int | None


def payload(interaction: Interaction, world: World, terms: Terms, message: Json | None) -> Json:
    """Return what the gateway sends to the bot; `message` is the one whose component was used."""
    member = world.person(interaction.member_id)
    channel = world.channel(interaction.channel_id)
    assert channel is not None
    permissions = str(int(world.permissions(member, channel)))
    bot_permissions = int(world.permissions(EASEL, channel)) if terms.permissions is None else terms.permissions
    body: Json = {
        "id": str(interaction.id),
        "application_id": str(EASEL_ID),
        "type": interaction.type,
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": channel.json() | {"permissions": permissions},
        "locale": member.locale,
        "app_permissions": str(bot_permissions),
        "entitlements": [],
        "attachment_size_limit": terms.attachment_size_limit,
    }
    guild = world.guild_of(channel)
    if guild is not None:
        body |= {
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": guild.member_json(member) | {"permissions": permissions},
            "context": IN_GUILD,
            "authorizing_integration_owners": {"0": str(guild.id)},
        }
    else:
        body |= {
            "user": member.json(),
            "context": IN_DIRECT_MESSAGES,
            "authorizing_integration_owners": {"0": "0"},
        }
    if message is not None:
        body["message"] = message
    return body


def metadata(interaction: Interaction, opener: Interaction | None, world: World) -> Json:
    """Return Discord's description of how a message came about; `opener` opened the form that was submitted."""
    channel = world.channel(interaction.channel_id)
    guild = None if channel is None else world.guild_of(channel)
    body: Json = {
        "id": str(interaction.id),
        "type": interaction.type,
        "user": world.person(interaction.member_id).json(),
        "authorizing_integration_owners": {"0": "0" if guild is None else str(guild.id)},
    }
    if interaction.type == COMMAND:
        body["name"] = _command_name(interaction.data)  # not in Discord's description, but it sends it
        if interaction.data["type"] == 2:
            body["target_user"] = world.person(int(interaction.data["target_id"])).json()
        elif interaction.data["type"] == 3:
            body["target_message_id"] = interaction.data["target_id"]
    elif interaction.type == COMPONENT:
        body["interacted_message_id"] = str(interaction.source_id)
    elif opener is not None:
        body["triggering_interaction_metadata"] = metadata(opener, None, world)
    elif interaction.type == MODAL_SUBMIT:
        # A changed client has sent a form that nobody opened, and Discord's description knows none of these.
        body["triggering_interaction_metadata"] = {**body, "type": COMMAND}
    return body


def view(interaction: Interaction) -> Json:
    """Return the interaction as the member API shows it, without its messages."""
    source = interaction.source_id
    return {
        "id": str(interaction.id),
        "type": interaction.type,
        "state": interaction.state,
        "failed_reason": interaction.failed_reason,
        "member_id": str(interaction.member_id),
        "channel_id": str(interaction.channel_id),
        "command": _command_name(interaction.data),
        "custom_id": interaction.data.get("custom_id"),
        "message_id": None if source is None else str(source),
        "modal": interaction.modal,
    }


def _command_name(data: Json) -> str | None:
    """Return the whole name of a command, sub-commands included; None where no command was run."""
    names = [data["name"]] if "name" in data else []
    options = data.get("options") or []
    while options and options[0]["type"] in (1, 2):
        names.append(options[0]["name"])
        options = options[0].get("options") or []
    return " ".join(names) or None
