"""Who may use which command where: what moderators have set, and what a command asks for by itself.

https://discord.com/developers/docs/interactions/application-commands#permissions
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from sandbox.community.people import EASEL_ID, Person
from sandbox.community.permissions import Permission
from sandbox.community.places import Channel
from sandbox.community.world import World
from sandbox.platform.hub import Hub
from sandbox.platform.interaction import IN_DIRECT_MESSAGES, IN_GUILD
from sandbox.storage.database import Storage

Json = dict[str, Any]
ROLE, USER, CHANNEL = 1, 2, 3
MOST_PERMISSIONS = 100
INSTALLED_IN_GUILDS = 0


class Grant(msgspec.Struct, frozen=True):
    """One permission of a command: whether a role, member or channel may use it.

    The server's id as a role is @everyone; the server's id less one, as a channel, is all channels.
    """

    id: int
    type: int
    permission: bool

    def json(self) -> Json:
        return {"id": str(self.id), "type": self.type, "permission": self.permission}


class CommandPermissions:
    """What has been set, by server and command; under the application's id what holds for all its commands."""

    def __init__(self, world: World, storage: Storage, hub: Hub) -> None:
        self._world = world
        self._storage = storage
        self._hub = hub
        kept = storage.load_text("command_permissions") or "{}"
        self._set = msgspec.json.decode(kept, type=dict[int, dict[int, list[Grant]]])

    def of(self, guild_id: int, command_id: int) -> list[Grant]:
        return self._set.get(guild_id, {}).get(command_id, [])

    def listed(self, guild_id: int) -> list[Json]:
        """Return all that has been set in a server, as Discord lists it."""
        return [self.json(guild_id, command_id) for command_id in self._set.get(guild_id, {})]

    def json(self, guild_id: int, command_id: int) -> Json:
        return {
            "id": str(command_id),
            "application_id": str(EASEL_ID),
            "guild_id": str(guild_id),
            "permissions": [grant.json() for grant in self.of(guild_id, command_id)],
        }

    def change(self, guild_id: int, command_id: int, grants: list[Grant]) -> None:
        """Set a command's permissions in a server (none: as if nothing had ever been set) and tell the bot."""
        commands = self._set.setdefault(guild_id, {})
        if grants:
            commands[command_id] = grants
        else:
            commands.pop(command_id, None)
        self._storage.save_text("command_permissions", json.dumps(msgspec.to_builtins(self._set, str_keys=True)))
        self._hub.tell_bots("APPLICATION_COMMAND_PERMISSIONS_UPDATE", self.json(guild_id, command_id))

    def allow(self, member: Person, channel: Channel, command: Json) -> bool:
        """Say whether the client lets a member use a command in a channel."""
        if not _fits(command, self._world.age_restricted(channel), channel):
            return False
        guild_id, bits = channel.guild_id, self._world.permissions(member, channel)
        if guild_id is None or bits & Permission.ADMINISTRATOR:
            return True
        if not bits & Permission.USE_APPLICATION_COMMANDS:
            return False
        levels = (self.of(guild_id, int(command["id"])), self.of(guild_id, EASEL_ID))
        place = channel.parent_id or channel.id
        if _decided(levels, (CHANNEL, {place}), (CHANNEL, {guild_id - 1})) is False:
            return False
        roles = self._world.guilds[guild_id].role_ids(member) - {guild_id}
        decided = _decided(levels, (USER, {member.id}), (ROLE, roles), (ROLE, {guild_id}))
        return _has(bits, command["default_member_permissions"]) if decided is None else decided


def _decided(levels: tuple[list[Grant], list[Grant]], *steps: tuple[int, set[int]]) -> bool | None:
    """Return what the command's own grants say, else those for all commands; None where neither says anything.

    In each the first step that is mentioned decides; of several roles, one that is allowed is enough.
    """
    for grants in levels:
        for kind, ids in steps:
            found = [grant.permission for grant in grants if grant.type == kind and grant.id in ids]
            if found:
                return any(found)
    return None


def _fits(command: Json, age_restricted: bool, channel: Channel) -> bool:
    """Say whether a command is for such a place at all. Here the bot is installed in servers, for nobody alone."""
    if INSTALLED_IN_GUILDS not in command["integration_types"]:
        return False
    contexts = command["contexts"]
    if channel.guild_id is None:
        allowed = command["dm_permission"] if contexts is None else IN_DIRECT_MESSAGES in contexts
        return bool(allowed) and "guild_id" not in command
    return (contexts is None or IN_GUILD in contexts) and (age_restricted or not command["nsfw"])


def _has(bits: Permission, needed: str | None) -> bool:
    """Say whether somebody has the permissions that a command asks for by itself; `0` asks for administrators."""
    return needed is None or (needed != "0" and bits & int(needed) == int(needed))
