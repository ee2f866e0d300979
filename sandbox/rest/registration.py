"""Registering application commands, for everywhere or for the server."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox import errors
from sandbox.community.people import EASEL_ID
from sandbox.limits.commands import check_command, check_commands
from sandbox.limits.forms import Form
from sandbox.platform.commands import GLOBAL
from sandbox.rest.payload import read_object, read_payload
from sandbox.rest.serving import answer, no_content
from sandbox.state import state_of
from sandbox.storage import snowflakes

Json = dict[str, Any]
routes = web.RouteTableDef()
_EVERYWHERE = "/applications/{application}/commands"
_IN_GUILD = "/applications/{application}/guilds/{guild}/commands"


@routes.get(_EVERYWHERE)
@routes.get(_IN_GUILD)
async def list_commands(request: web.Request) -> web.Response:
    return answer(state_of(request).commands.listed(_scope(request)))


@routes.put(_EVERYWHERE)
@routes.put(_IN_GUILD)
async def replace_commands(request: web.Request) -> web.Response:
    scope = _scope(request)
    body = (await read_payload(request)).body
    form = Form()
    if not isinstance(body, list):
        form.error((), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    else:
        for index, command in enumerate(body):
            if not isinstance(command, dict):
                form.error((index,), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    form.close()
    return answer(state_of(request).commands.replace_all(scope, check_commands(body)))


@routes.post(_EVERYWHERE)
@routes.post(_IN_GUILD)
async def create_command(request: web.Request) -> web.Response:
    scope = _scope(request)
    payload = await read_object(request)
    command, new = state_of(request).commands.put(scope, check_command(payload.body))
    return answer(command, 201 if new else 200)


@routes.get(_IN_GUILD + "/permissions")
async def list_permissions(request: web.Request) -> web.Response:
    return answer(state_of(request).command_permissions.listed(_scope(request)))


@routes.get(_EVERYWHERE + "/{command}")
@routes.get(_IN_GUILD + "/{command}")
async def get_command(request: web.Request) -> web.Response:
    return answer(_command(request, _scope(request)))


@routes.patch(_EVERYWHERE + "/{command}")
@routes.patch(_IN_GUILD + "/{command}")
async def edit_command(request: web.Request) -> web.Response:
    scope = _scope(request)
    before = _command(request, scope)
    payload = await read_object(request)
    checked = check_command(before | payload.body | {"type": before["type"]})
    command, _ = state_of(request).commands.put(scope, checked, before)
    return answer(command)


@routes.delete(_EVERYWHERE + "/{command}")
@routes.delete(_IN_GUILD + "/{command}")
async def delete_command(request: web.Request) -> web.Response:
    scope = _scope(request)
    state_of(request).commands.delete(scope, int(_command(request, scope)["id"]))
    return no_content()


@routes.get(_IN_GUILD + "/{command}/permissions")
async def get_permissions(request: web.Request) -> web.Response:
    guild_id, command_id = _scope(request), snowflakes.parse(request.match_info["command"]) or 0
    permissions = state_of(request).command_permissions
    if not permissions.of(guild_id, command_id):
        raise errors.unknown("application command permissions")
    return answer(permissions.json(guild_id, command_id))


@routes.put(_IN_GUILD + "/{command}/permissions")
async def set_permissions(request: web.Request) -> web.Response:
    raise errors.DiscordError(403, 20001, "Bots cannot use this endpoint")


def _scope(request: web.Request) -> int:
    if snowflakes.parse(request.match_info["application"]) != EASEL_ID:
        raise errors.unknown("Application")
    if "guild" not in request.match_info:
        return GLOBAL
    guild_id = snowflakes.parse(request.match_info["guild"])
    if guild_id not in state_of(request).world.guilds:
        raise errors.missing_access()
    return guild_id


def _command(request: web.Request, scope: int) -> Json:
    command = state_of(request).commands.get(scope, snowflakes.parse(request.match_info["command"]))
    if command is None:
        raise errors.unknown("application command")
    return command
