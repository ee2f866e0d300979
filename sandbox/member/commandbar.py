"""What the Discord client does with a typed command: reads it, converts its values, refuses what does not fit."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from sandbox.community.world import Scene
from sandbox.errors import MemberError
from sandbox.limits.commands import (
    ATTACHMENT,
    BOOLEAN,
    CHANNEL,
    CHAT_INPUT,
    INTEGER,
    MENTIONABLE,
    NUMBER,
    ROLE,
    SAFE_INTEGER,
    STRING,
    SUB_COMMAND,
    SUB_COMMAND_GROUP,
    USER,
)

Json = dict[str, Any]
_ID = re.compile(r"<?[@#]?[!&]?(\d+)>?")
_MOST_TEXT = 6000


@dataclass
class Invocation:
    """A command as it is being entered: the command, the way to its sub-command, and the options there."""

    command: Json
    path: list[str] = field(default_factory=list)

    @property
    def options(self) -> list[Json]:
        """The options that the (sub-)command offers."""
        options: list[Json] = self.command.get("options", [])
        for name in self.path:
            options = next(one for one in options if one["name"] == name).get("options", [])
        return [one for one in options if one["type"] not in (SUB_COMMAND, SUB_COMMAND_GROUP)]

    @property
    def name(self) -> str:
        return " ".join([self.command["name"], *self.path])

    def data(self, given: list[Json]) -> Json:
        """Return an interaction's data with these options nested where they belong."""
        nested = given
        for depth in reversed(range(len(self.path))):
            kind = SUB_COMMAND if depth == len(self.path) - 1 else SUB_COMMAND_GROUP
            nested = [{"type": kind, "name": self.path[depth], "options": nested}]
        data = {"id": self.command["id"], "name": self.command["name"], "type": self.command["type"]}
        if "guild_id" in self.command:
            data["guild_id"] = self.command["guild_id"]
        return data | {"options": nested}


def find(commands: list[Json], name: str) -> Invocation:
    """Return the slash command that a name such as `model info` means."""
    first, *rest = name.strip().removeprefix("/").split()[:3] or [""]
    for command in commands:
        if command["type"] == CHAT_INPUT and command["name"] == first:
            invocation = Invocation(command)
            options: list[Json] = command.get("options", [])
            for part in rest:
                inner = [one for one in options if one["type"] in (1, 2) and one["name"] == part]
                if not inner:
                    raise MemberError(f"/{invocation.name} has no sub-command “{part}”.")
                invocation.path.append(part)
                options = inner[0].get("options", [])
            if any(one["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP) for one in options):
                names = ", ".join(one["name"] for one in options)
                raise MemberError(f"/{invocation.name} needs a sub-command: {names}.")
            return invocation
    raise MemberError(f"There is no command /{first} here.")


def read(commands: list[Json], text: str) -> tuple[Invocation, dict[str, str]]:
    """Read a line such as `/imagine prompt:a red house seed:7`: a value goes on to the next `known_option:`."""
    words = text.strip().removeprefix("/").split()
    known = [command for command in commands if command["type"] == CHAT_INPUT]
    command = next((one for one in known if words and one["name"] == words[0]), None)
    if command is None:
        raise MemberError(f"There is no command /{words[0] if words else ''} here.")
    depth, options = 1, command.get("options", [])
    while depth < len(words):
        inner = [one for one in options if one["type"] in (1, 2) and one["name"] == words[depth]]
        if not inner:
            break
        depth, options = depth + 1, inner[0].get("options", [])
    invocation = find(commands, " ".join(words[:depth]))
    rest = re.sub(r"^\s*/?" + r"\s+".join(map(re.escape, words[:depth])), "", text, count=1)
    names = "|".join(re.escape(option["name"]) for option in invocation.options) or r"(?!)"
    marks = list(re.finditer(rf"(?:^|\s)({names}):", rest))
    before = rest[: marks[0].start()] if marks else rest
    if before.strip():
        unknown = re.match(r"\s*([^\s:]+):", before)
        if unknown:
            raise MemberError(f"/{invocation.name} has no option “{unknown[1]}”.")
        raise MemberError(f"“{before.strip()}” belongs to no option of /{invocation.name}.")
    values: dict[str, str] = {}
    for mark, following in zip_longest(marks, marks[1:]):
        if mark[1] in values:
            raise MemberError(f"The option “{mark[1]}” is given twice.")
        end = following.start() if following else len(rest)
        values[mark[1]] = rest[mark.end() : end].strip()
    return invocation, values


def convert(
    invocation: Invocation,
    values: dict[str, Any],
    attachments: dict[str, Json],
    scene: Scene,
    *,
    focused: str | None = None,
) -> tuple[list[Json], Json]:
    """Return an interaction's options and what they resolve to; raise MemberError for what the client refuses.

    With `focused`, the member is still typing: nothing is required yet, and half-typed values pass as they are.
    """
    offered = {option["name"]: option for option in invocation.options}
    for name in (*values, *attachments, *([focused] if focused else [])):
        if name not in offered:
            raise MemberError(f"/{invocation.name} has no option “{name}”.")
    given: list[Json] = []
    resolved: Json = {}
    for name, option in offered.items():
        value = attachments.get(name, values.get(name))
        if value is None or (value == "" and option["type"] != STRING and not focused):
            if option.get("required") and not focused:
                raise MemberError(f"The option “{name}” of /{invocation.name} is required.")
            if name != focused:
                continue
            value = ""
        entry = {"name": name, "type": option["type"]}
        if focused:
            typed = _typed(option, value)
            if typed is not None:
                given.append(entry | {"value": typed} | ({"focused": True} if name == focused else {}))
        else:
            given.append(entry | {"value": _value(option, value, scene, resolved)})
    return given, resolved


def _typed(option: Json, value: Any) -> Any:
    """Return a half-typed value as the client sends it for autocompletion."""
    if option["type"] in (STRING, INTEGER, NUMBER):
        return str(value)
    return value if isinstance(value, bool | str) else None


def _value(option: Json, value: Any, scene: Scene, resolved: Json) -> Any:
    kind, name = option["type"], option["name"]
    if kind == ATTACHMENT:
        if not isinstance(value, dict):
            raise MemberError(f"The option “{name}” takes a file.")
        resolved.setdefault("attachments", {})[value["id"]] = value
        return value["id"]
    if option.get("choices"):
        return _choice(option, value)
    if kind == STRING:
        return _text(option, value)
    if kind in (INTEGER, NUMBER):
        return _number(option, value)
    if kind == BOOLEAN:
        truth = {"true": True, "false": False}.get(str(value).strip().lower())
        if truth is None:
            raise MemberError(f"The option “{name}” is true or false.")
        return truth
    if kind in (USER, MENTIONABLE, ROLE, CHANNEL):
        return resolve(kind, value, name, scene, resolved, option.get("channel_types"))
    raise MemberError(f"The option “{name}” is of a kind that the sandbox does not know.")


def _choice(option: Json, value: Any) -> Any:
    for choice in option["choices"]:
        localized = (choice.get("name_localizations") or {}).values()
        if str(value).strip() in (str(choice["value"]), choice["name"], *localized):
            return choice["value"]
    names = ", ".join(choice["name"] for choice in option["choices"])
    raise MemberError(f"The option “{option['name']}” is one of: {names}.")


def _text(option: Json, value: Any) -> str:
    text, name = str(value), option["name"]
    least, most = option.get("min_length", 0), min(option.get("max_length", _MOST_TEXT), _MOST_TEXT)
    if len(text) > most:
        raise MemberError(f"The option “{name}” may have at most {most} characters; these are {len(text)}.")
    if len(text) < max(least, int(bool(option.get("required")))):
        raise MemberError(f"The option “{name}” needs at least {max(least, 1)} characters.")
    return text


def _number(option: Json, value: Any) -> int | float:
    name, whole = option["name"], option["type"] == INTEGER
    number: int | float
    try:
        number = int(str(value).strip()) if whole else float(str(value).strip())
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise MemberError(f"The option “{name}” must be {kind}, not “{value}”.") from None
    least = option.get("min_value", -SAFE_INTEGER)
    most = option.get("max_value", SAFE_INTEGER)
    if not least <= number <= most:
        raise MemberError(f"The option “{name}” must be between {least} and {most}.")
    return number


def resolve(
    kind: int, value: Any, name: str, scene: Scene, resolved: Json, channel_types: Collection[int] | None = None
) -> str:
    """Return the id of the person, role or channel that `value` means, and add the object to `resolved`."""
    text = str(value).strip()
    found = _ID.fullmatch(text)
    wanted = {found[1] if found else "", text.lstrip("@#").casefold()}
    guild = scene.guild
    if kind in (USER, MENTIONABLE):
        for person in scene.people:
            if wanted & {str(person.id), person.name.casefold()}:
                key = str(person.id)
                resolved.setdefault("users", {})[key] = person.json()
                if guild is not None:
                    permissions = {"permissions": str(int(scene.world.permissions(person, scene.channel)))}
                    member = guild.member_json(person, with_user=False) | permissions
                    resolved.setdefault("members", {})[key] = member
                return key
    if kind in (ROLE, MENTIONABLE) and guild is not None:
        for role in guild.roles:
            if wanted & {str(role.id), role.name.lstrip("@").casefold()}:
                resolved.setdefault("roles", {})[str(role.id)] = role.json()
                return str(role.id)
    if kind == CHANNEL:
        for channel in scene.channels:
            if wanted & {str(channel.id), channel.name.casefold()}:
                if channel_types and channel.type not in channel_types:
                    raise MemberError(f"The option “{name}” does not take channels of this kind.")
                permissions = {"permissions": str(int(scene.world.permissions(scene.member, channel)))}
                resolved.setdefault("channels", {})[str(channel.id)] = channel.json() | permissions
                return str(channel.id)
    raise MemberError(f"Nobody and nothing here is called “{value}” (option “{name}”).")
