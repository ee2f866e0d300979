"""All that one member sees at the moment: the answer of `GET /sandbox/state`."""

from __future__ import annotations

from typing import Any

from sandbox.community.people import EASEL, Person
from sandbox.community.permissions import Permission
from sandbox.community.places import Channel
from sandbox.state import State

Json = dict[str, Any]


def overview(state: State, member: Person, only: Channel | None) -> Json:
    """Return servers, channels, people, commands and messages; messages of `only` this channel where one is given."""
    world = state.world
    channels = [*world.channels_of(member), world.direct(member)]
    guilds = [{"id": str(guild.id), "name": guild.name} for guild in world.guilds_of(member)]
    return {
        "guild": guilds[0],
        "guilds": guilds,
        "channels": [channel_json(state, member, one) for one in channels],
        "members": [_member(state, one) for one in world.members if not one.crowd or one is member],
        "bot": {
            "id": str(EASEL.id),
            "name": EASEL.name,
            "avatar_url": _avatar_url(state, EASEL),
            "online": state.gateway.online,
            "says": state.gateway.says,
        },
        "commands": state.commands.offered(member),
        "messages": [
            state.messages.member_view(message)
            for channel in (channels if only is None else [only])
            for message in state.messages.in_channel(channel.id)
            if message.visible_to in (None, member.id)
        ],
    }


def channel_json(state: State, member: Person, channel: Channel) -> Json:
    """Return a channel as the member API shows it to a member."""
    bits = state.world.permissions(member, channel)
    writing = Permission.SEND_MESSAGES_IN_THREADS if channel.thread else Permission.SEND_MESSAGES
    return {
        "id": str(channel.id),
        "name": channel.name or EASEL.name,
        "type": channel.type,
        "guild_id": None if channel.guild_id is None else str(channel.guild_id),
        "parent_id": None if channel.parent_id is None else str(channel.parent_id),
        "nsfw": state.world.age_restricted(channel),
        "archived": channel.archived,
        "locked": channel.locked,
        "may_write": bool(bits & writing),
        "may_moderate": channel.recipient is None and bool(bits & Permission.MANAGE_MESSAGES),
    }


def _member(state: State, person: Person) -> Json:
    guilds = state.world.guilds_of(person)
    moderated = [str(guild.id) for guild in guilds if guild.permissions(person) & Permission.MANAGE_MESSAGES]
    return {
        "id": str(person.id),
        "name": person.name,
        "avatar_url": _avatar_url(state, person),
        "moderator": bool(moderated),
        "moderator_of": moderated,
        "guild_ids": [str(guild.id) for guild in guilds],
        "locale": person.locale,
    }


def _avatar_url(state: State, person: Person) -> str:
    return f"{state.files.origin}/avatars/{person.id}/{person.avatar}.png"
