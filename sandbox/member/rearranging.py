"""For tests: change the world while it runs. Channels and threads come and go, people join and leave, time passes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from aiohttp import web

from sandbox.community.people import EASEL, Person
from sandbox.community.permissions import Permission
from sandbox.community.places import MEMBER, PRIVATE_THREAD, PUBLIC_THREAD, ROLE, TEXT, Channel, Overwrite
from sandbox.errors import MemberError
from sandbox.member.overview import channel_json
from sandbox.member.requests import MemberRequest, read_request
from sandbox.platform.command_permissions import CHANNEL, MOST_PERMISSIONS, USER, Grant
from sandbox.platform.command_permissions import ROLE as ROLE_GRANT
from sandbox.state import State, state_of
from sandbox.storage import snowflakes

Json = dict[str, Any]
routes = web.RouteTableDef()
_KINDS = {"text": TEXT, "public_thread": PUBLIC_THREAD, "private_thread": PRIVATE_THREAD}
_NAME = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_CHANGEABLE: dict[str, Any] = {"name": _NAME, "topic": str | None, "nsfw": bool, "archived": bool, "locked": bool}
MOST_AHEAD_S = 366 * 24 * 60 * 60.0


@routes.post("/channels")
async def create_channel(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    creator = asked.member
    kind = _KINDS.get(str(asked.body.get("type", "text")))
    if kind is None:
        raise MemberError(f"type is one of {', '.join(_KINDS)}.")
    channel = Channel(
        id=state.ids.next(), type=kind, name=_checked("name", asked.text("name")), created=state.clock.now()
    )
    if kind == TEXT:
        channel.guild_id = _guild_id(asked)
        channel.nsfw = _checked("nsfw", asked.body.get("nsfw", False))
        channel.position = sum(one.guild_id == channel.guild_id for one in state.world.channels.values())
        channel.overwrites = _overwrites(asked, channel)
    else:
        parent = state.world.find_channel(asked.body.get("parent"), creator)
        if parent.type != TEXT:
            raise MemberError("A thread is in a text channel.")
        people = [creator, *(_person(state, name) for name in asked.listed("members", str))]
        channel.guild_id, channel.parent_id, channel.owner_id = parent.guild_id, parent.id, creator.id
        channel.joined = {person.id: channel.created for person in people}
    state.building.create(channel)
    return web.json_response({"channel": channel_json(state, creator, channel)})


@routes.patch("/channels/{channel}")
async def change_channel(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    channel = _channel(request, state)
    wrong = set(asked.body) - {*_CHANGEABLE, "overwrites"}
    if wrong:
        raise MemberError(f"A channel has no “{min(wrong)}” that could be changed.")
    fields = {name: _checked(name, value) for name, value in asked.body.items() if name in _CHANGEABLE}
    if "overwrites" in asked.body:
        fields["overwrites"] = _overwrites(asked, channel)
    state.building.change(channel, **fields)
    return web.json_response({"channel": channel_json(state, EASEL, channel)})


@routes.delete("/channels/{channel}")
async def delete_channel(request: web.Request) -> web.Response:
    state = state_of(request)
    state.building.delete(_channel(request, state))
    return web.Response(status=204)


@routes.put("/channels/{channel}/members/{member}")
async def join_thread(request: web.Request) -> web.Response:
    state = state_of(request)
    state.building.join(_thread(request, state), _person(state, request.match_info["member"]))
    return web.Response(status=204)


@routes.delete("/channels/{channel}/members/{member}")
async def leave_thread(request: web.Request) -> web.Response:
    state = state_of(request)
    state.building.leave(_thread(request, state), _person(state, request.match_info["member"]))
    return web.Response(status=204)


@routes.put("/permissions/{command}")
async def set_command_permissions(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    guild_id = _guild_id(asked)
    named = request.match_info["command"]
    command = None if named == "all" else state.commands.named(guild_id, named)
    if command is None and named != "all":
        raise MemberError(f"There is no command “{named}”.", 404)
    if not state.world.guilds[guild_id].permissions(asked.member) & Permission.MANAGE_GUILD:
        raise MemberError(f"{asked.member.name} may not manage the server.", 403)
    listed = asked.listed("permissions", dict)
    if len(listed) > MOST_PERMISSIONS:
        raise MemberError(f"A command has at most {MOST_PERMISSIONS} permissions in a server.")
    grants = [_grant(asked, guild_id, entry) for entry in listed]
    command_id = EASEL.id if command is None else int(command["id"])
    state.command_permissions.change(guild_id, command_id, grants)
    state.commands.tell_members()
    return web.json_response(state.command_permissions.json(guild_id, command_id))


@routes.get("/clock")
async def get_clock(request: web.Request) -> web.Response:
    return web.json_response({"now": state_of(request).clock.now()})


@routes.post("/clock")
async def move_clock(request: web.Request) -> web.Response:
    state = state_of(request)
    seconds = (await read_request(request, state)).body.get("advance_s")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MOST_AHEAD_S:
        raise MemberError(f"advance_s is a number of seconds, at most {MOST_AHEAD_S:g}.")
    await state.clock.advance(seconds)
    return web.json_response({"now": state.clock.now()})


def _checked(name: str, value: object) -> Any:
    try:
        return msgspec.convert(value, _CHANGEABLE[name])
    except msgspec.ValidationError as error:
        raise MemberError(f"A channel's {name} can't be {value!r}: {error}.") from error


def _person(state: State, name: object) -> Person:
    """Return a member, or the bot by its name or id."""
    return EASEL if str(name).lstrip("@") in (EASEL.name, str(EASEL.id)) else state.world.find_member(name)


def _channel(request: web.Request, state: State) -> Channel:
    """Return the channel of a server that the address names; tests may name any."""
    named = request.match_info["channel"]
    for channel in state.world.channels.values():
        if named in (str(channel.id), channel.name):
            return channel
    raise MemberError(f"There is no channel “{named}”.", 404)


def _thread(request: web.Request, state: State) -> Channel:
    channel = _channel(request, state)
    if not channel.thread:
        raise MemberError(f"#{channel.name} is no thread.")
    return channel


def _grant(asked: MemberRequest, guild_id: int, entry: Json) -> Grant:
    """Read one permission: `{"role" | "member" | "channel": name or id, "allow": bool}`."""
    world, allow = asked.state.world, entry.get("allow")
    if len(entry) != 2 or not isinstance(allow, bool):
        raise MemberError('A permission is {"role", "member" or "channel", "allow"}.')
    if "member" in entry:
        return Grant(world.find_member(entry["member"]).id, USER, allow)
    if "channel" in entry:
        everywhere = entry["channel"] == "all"
        place = guild_id - 1 if everywhere else world.find_channel(entry["channel"], asked.member).id
        return Grant(place, CHANNEL, allow)
    for role in world.guilds[guild_id].roles:
        if entry.get("role") in (role.name, str(role.id)):
            return Grant(role.id, ROLE_GRANT, allow)
    raise MemberError(f"There is no role “{entry.get('role')}”.")


def _guild_id(asked: MemberRequest) -> int:
    guilds = asked.state.world.guilds_of(asked.member)
    wanted = str(asked.body.get("guild", guilds[0].id))
    for guild in guilds:
        if wanted in (str(guild.id), guild.name):
            return guild.id
    raise MemberError(f"{asked.member.name} is in no server “{wanted}”.")


def _overwrites(asked: MemberRequest, channel: Channel) -> list[Overwrite]:
    """Read `overwrites`: `{"for": a member's or role's name or id, "allow": bits, "deny": bits}` each."""
    state, guild = asked.state, asked.state.world.guild_of(channel)
    assert guild is not None
    found: list[Overwrite] = []
    for entry in asked.listed("overwrites", dict):
        role = next((one for one in guild.roles if entry.get("for") in (one.name, str(one.id))), None)
        holder, kind = (role.id, ROLE) if role else (_person(state, entry.get("for")).id, MEMBER)
        allow, deny = snowflakes.parse(entry.get("allow", 0)), snowflakes.parse(entry.get("deny", 0))
        if allow is None or deny is None:
            raise MemberError("allow and deny are permission bits.")
        found.append(Overwrite(holder, kind, allow, deny))
    return found
