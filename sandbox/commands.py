"""The bot's registered commands: global ones and the server's, kept on disk.

Their rules are in `sandbox.limits.commands`.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox import world
from sandbox.hub import Hub
from sandbox.permissions import Permission
from sandbox.snowflakes import Snowflakes
from sandbox.storage import Storage

Json = dict[str, Any]
GLOBAL = 0
_COMPARED = ("id", "application_id", "version", "guild_id")


class Commands:
    """Every registered command by id. A scope is GLOBAL or the server's id."""

    def __init__(self, ids: Snowflakes, storage: Storage, hub: Hub) -> None:
        self._ids = ids
        self._storage = storage
        self._hub = hub
        stored: dict[str, list[Json]] = json.loads(storage.load_text("commands") or "{}")
        self._scopes: dict[int, dict[int, Json]] = {GLOBAL: {}, world.GUILD_ID: {}}
        for scope, commands in stored.items():
            self._scopes[int(scope)] = {int(command["id"]): command for command in commands}

    def listed(self, scope: int) -> list[Json]:
        return list(self._scopes[scope].values())

    def get(self, scope: int, command_id: int | None) -> Json | None:
        return self._scopes[scope].get(command_id or 0)

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

    def for_member(self, member: world.Person) -> list[Json]:
        """Return the commands that the client offers this member, the server's before global ones."""
        offered: dict[tuple[int, str], Json] = {}
        for scope in (world.GUILD_ID, GLOBAL):
            for command in self._scopes[scope].values():
                if _may_use(member, command):
                    offered.setdefault((command["type"], command["name"]), command)
        return list(offered.values())

    def _put(self, scope: int, checked: Json, before: Json | None) -> Json:
        unchanged = before is not None and checked == {
            key: value for key, value in before.items() if key not in _COMPARED
        }
        command = {
            "id": str(self._ids.next()) if before is None else before["id"],
            "application_id": str(world.EASEL_ID),
            "version": before["version"] if before and unchanged else str(self._ids.next()),
            **checked,
        }
        if scope != GLOBAL:
            command["guild_id"] = str(scope)
        self._scopes[scope][int(command["id"])] = command
        return command

    def _changed(self) -> None:
        self._storage.save_text("commands", json.dumps({scope: self.listed(scope) for scope in self._scopes}))
        for member in world.MEMBERS:
            self._hub.tell_members({"type": "commands", "commands": self.for_member(member)}, member.id)


def _same(among: dict[int, Json], checked: Json) -> Json | None:
    for command in among.values():
        if (command["type"], command["name"]) == (checked["type"], checked["name"]):
            return command
    return None


def _may_use(member: world.Person, command: Json) -> bool:
    needed = command["default_member_permissions"]
    if needed is None:
        return True
    if needed == "0":
        return bool(member.permissions & Permission.ADMINISTRATOR)
    return member.permissions & int(needed) == int(needed)
