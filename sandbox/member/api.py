"""The member API under `/sandbox`: what the page and scripts do as members. Documented in docs/sandbox.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSCloseCode, web

from sandbox.errors import DiscordError, MemberError
from sandbox.member import actions, control, rearranging
from sandbox.member.overview import overview
from sandbox.member.requests import seconds, visible_message
from sandbox.member.settling import QUIET_OTHERWISE_S, unsettled_for
from sandbox.platform.interaction import AUTOCOMPLETE, DEFERRED, FAILED, MODAL, SENT, Interaction, view
from sandbox.state import State, state_of
from sandbox.storage import snowflakes

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
routes = web.RouteTableDef()
LONGEST_WAIT_S = 60.0
MOST_BYTES = 128 * 1024 * 1024
_SOCKETS: web.AppKey[set[web.WebSocketResponse]] = web.AppKey("sockets", set)
# The states in which a wait goes on.
_STILL_WAITING = {"acknowledged": (SENT,), "replied": (SENT, DEFERRED)}


def application() -> web.Application:
    """Return what serves `/sandbox`."""
    made = web.Application(middlewares=[_speak_plainly], client_max_size=MOST_BYTES)
    made[_SOCKETS] = set()
    made.on_shutdown.append(_close_sockets)
    for part in (routes, actions.routes, control.routes, rearranging.routes):
        made.router.add_routes(part)
    return made


@web.middleware
async def _speak_plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            raise MemberError("Only the sandbox's own page may act as a member.", 403)
        return await handler(request)
    except MemberError as error:
        return web.json_response({"error": error.sentence}, status=error.status)
    except DiscordError as error:
        return web.json_response({"error": f"{error}."}, status=error.status)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return web.json_response({"error": f"{error.reason}."}, status=error.status)


@routes.get("/state")
async def get_state(request: web.Request) -> web.Response:
    state = state_of(request)
    member = state.world.find_member(request.query.get("member", state.world.members[0].name))
    named = request.query.get("channel")
    only = state.world.find_channel(named, member) if named else None
    return web.json_response(overview(state, member, only))


@routes.get("/events")
async def watch_events(request: web.Request) -> web.StreamResponse:
    state = state_of(request)
    member = state.world.find_member(request.query.get("member"))
    socket = web.WebSocketResponse(heartbeat=30)
    await socket.prepare(request)
    outbox: asyncio.Queue[Json] = asyncio.Queue()
    outbox.put_nowait({"type": "ready", "online": state.gateway.online})
    stop_listening = state.hub.listen(member.id, outbox.put_nowait)
    writer = asyncio.create_task(_write(socket, outbox))
    sockets = request.config_dict[_SOCKETS]
    sockets.add(socket)
    try:
        async for _ in socket:
            pass  # a page only listens
    finally:
        sockets.discard(socket)
        stop_listening()
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
    return socket


@routes.get("/interactions/{interaction}")
async def get_interaction(request: web.Request) -> web.Response:
    state = state_of(request)
    interaction = state.interactions.get(snowflakes.parse(request.match_info["interaction"]))
    if interaction is None or interaction.type == AUTOCOMPLETE:
        raise MemberError("There is no such interaction (any more).", 404)
    until = request.query.get("until")
    if until not in (None, *_STILL_WAITING, "done"):
        raise MemberError("until is acknowledged, replied or done.")
    deadline = asyncio.get_running_loop().time() + seconds(request, "wait", LONGEST_WAIT_S)
    quiet_s = seconds(request, "quiet", LONGEST_WAIT_S) if "quiet" in request.query else QUIET_OTHERWISE_S
    reached = until is None
    while not reached and until is not None:
        patience_s = deadline - asyncio.get_running_loop().time()
        due_s = _due_in(state, interaction, until, quiet_s)
        reached = due_s == 0
        if reached or patience_s <= 0:
            break
        watched = [interaction.id, *interaction.message_ids]
        await state.hub.change(patience_s if due_s is None else min(patience_s, due_s), watched)
    messages = [state.messages.member_view(one) for one in state.interactions.messages_of(interaction)]
    return web.json_response(view(interaction) | {"messages": messages, "reached": reached})


@routes.get("/messages/{channel}/{message}")
async def get_message(request: web.Request) -> web.Response:
    state = state_of(request)
    member = state.world.find_member(request.query.get("member"))
    channel = state.world.find_channel(request.match_info["channel"], member)
    message_id = snowflakes.parse(request.match_info["message"])
    known = snowflakes.parse(request.query.get("changed_since", "0"))
    if known is None:
        raise MemberError("changed_since is a message's revision.")
    deadline = asyncio.get_running_loop().time() + seconds(request, "wait", LONGEST_WAIT_S)
    while True:
        message = visible_message(state, member, channel, message_id)
        patience_s = deadline - asyncio.get_running_loop().time()
        if message.revision > known or patience_s <= 0:
            return web.json_response({"message": state.messages.member_view(message)})
        await state.hub.change(patience_s, [message.id])


def _due_in(state: State, interaction: Interaction, until: str, quiet_s: float) -> float | None:
    """Return in how many seconds the awaited state will be there if nothing happens: 0 now, None never."""
    if until in _STILL_WAITING:
        return None if interaction.state in _STILL_WAITING[until] else 0.0
    if interaction.state in (FAILED, MODAL):
        return 0.0
    if interaction.state in (SENT, DEFERRED):
        return None
    messages = state.interactions.messages_of(interaction)
    remaining_s = unsettled_for(messages, state.clock.now(), quiet_s)
    return None if remaining_s is None else max(remaining_s, 0.0)


async def _write(socket: web.WebSocketResponse, outbox: asyncio.Queue[Json]) -> None:
    while True:
        try:
            await socket.send_json(await outbox.get())
        except ConnectionError:
            return


async def _close_sockets(application: web.Application) -> None:
    sockets = application[_SOCKETS]
    for socket in tuple(sockets):
        await socket.close(code=WSCloseCode.GOING_AWAY)
