"""The bot's registered commands: global ones and the server's, kept on disk.

Their rules are in `sandbox.limits.commands`.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.community.people import EASEL_ID, Person
from sandbox.community.places import Channel
from sandbox.community.world import World
from sandbox.platform.command_permissions import CommandPermissions
from sandbox.platform.hub import Hub
from sandbox.storage.database import Storage
from sandbox.storage.snowflakes import Snowflakes

Json = dict[str, Any]
GLOBAL = 0
_COMPARED = ("id", "application_id", "version", "guild_id")


class Commands:
    """Every registered command by id. A scope is GLOBAL or a server's id."""

    def __init__(
        self, world: World, permissions: CommandPermissions, ids: Snowflakes, storage: Storage, hub: Hub
    ) -> None:
        self._permissions = permissions
        self._world = world
        self._ids = ids
        self._storage = storage
        self._hub = hub
        stored: dict[str, list[Json]] = json.loads(storage.load_text("commands") or "{}")
        self._scopes: dict[int, dict[int, Json]] = {scope: {} for scope in (GLOBAL, *world.guilds)}
        for scope, commands in stored.items():
            self._scopes[int(scope)] = {int(command["id"]): command for command in commands}

    def listed(self, scope: int) -> list[Json]:
        return list(self._scopes[scope].values())

    def get(self, scope: int, command_id: int | None) -> Json | None:
        return self._scopes[scope].get(command_id or 0)

    def named(self, scope: int, name: str) -> Json | None:
        """Return the command of this id or name that is used in a server: its own, or else a global one."""
        for among in (scope, GLOBAL):
            for command in self._scopes[among].values():
                if name.removeprefix("/") in (command["id"], command["name"]):
                    return command
        return None

    def replace_all(self, scope: int, checked: list[Json]) -> list[Json]:
        """Make these, and no others, the commands of a scope; those of the same name keep their ids."""
        before = self._scopes[scope]
        self._scopes[scope] = {}
        for command in checked:
            self._put(scope, command, _same(before, command))
        self._changed()
        return self.listed(scope)

    def put(self, scope: int, checked: Json, replacing: Json | None = None) -> tuple[Json, bool]:
        """Add a command, or change `replacing` or the one of the same name; say whether it is new."""
        before = replacing or _same(self._scopes[scope], checked)
        command = self._put(scope, checked, before)
        self._changed()
        return command, before is None

    def delete(self, scope: int, command_id: int) -> None:
        del self._scopes[scope][command_id]
        self._changed()

    def for_member(self, member: Person, channel: Channel) -> list[Json]:
        """Return the commands that the client offers this member in a channel, the server's before global ones."""
        offered: dict[tuple[int, str], Json] = {}
        for scope in (channel.guild_id, GLOBAL):
            for command in () if scope is None else self._scopes[scope].values():
                if self._permissions.allow(member, channel, command):
                    offered.setdefault((command["type"], command["name"]), command)
        return list(offered.values())

    def offered(self, member: Person) -> list[Json]:
        """Return the commands that a member may use anywhere, each with `sandbox.channels`: where."""
        found: dict[str, Json] = {}
        for channel in (*self._world.channels_of(member), self._world.direct(member)):
            for command in self.for_member(member, channel):
                known = found.setdefault(command["id"], command | {"sandbox": {"channels": []}})
                known["sandbox"]["channels"].append(str(channel.id))
        return list(found.values())

    def _put(self, scope: int, checked: Json, before: Json | None) -> Json:
        unchanged = before is not None and checked == {
            key: value for key, value in before.items() if key not in _COMPARED
        }
        command = {
            "id": str(self._ids.next()) if before is None else before["id"],
            "application_id": str(EASEL_ID),
            "version": before["version"] if before and unchanged else str(self._ids.next()),
            **checked,
        }
        if scope != GLOBAL:
            command["guild_id"] = str(scope)
        self._scopes[scope][int(command["id"])] = command
        return command

    def _changed(self) -> None:
        self._storage.save_text("commands", json.dumps({scope: self.listed(scope) for scope in self._scopes}))
        self.tell_members()

    def tell_members(self) -> None:
        """Tell every open page which commands there are for its member."""
        for member_id in self._hub.listening:
            offered = self.offered(self._world.people[member_id])
            self._hub.tell_members({"type": "commands", "commands": offered}, [member_id])
        self._hub.wake()


def _same(among: dict[int, Json], checked: Json) -> Json | None:
    for command in among.values():
        if (command["type"], command["name"]) == (checked["type"], checked["name"]):
            return command
    return None
