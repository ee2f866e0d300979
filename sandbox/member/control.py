"""For tests: make Discord misbehave, and read what the bot asked of it."""

from __future__ import annotations

from aiohttp import web

from sandbox.errors import MemberError
from sandbox.member.requests import read_request
from sandbox.state import state_of
from sandbox.storage import snowflakes

routes = web.RouteTableDef()


@routes.get("/faults")
async def get_faults(request: web.Request) -> web.Response:
    return web.json_response(state_of(request).faults.json())


@routes.post("/faults")
async def change_faults(request: web.Request) -> web.Response:
    state = state_of(request)
    once = state.faults.change((await read_request(request, state)).body)
    if once.drop_gateway is not None:
        await state.gateway.drop(once.drop_gateway)
    if state.faults.settings.outage:
        state.gateway.cut()
    if once.forget_sessions:
        state.gateway.forget_sessions()
    return web.json_response(state.faults.json())


@routes.get("/log")
async def get_log(request: web.Request) -> web.Response:
    since = snowflakes.parse(request.query.get("since", "0"))
    if since is None:
        raise MemberError("since is the number of a log entry.")
    journal = state_of(request).journal
    return web.json_response(
        {
            "entries": journal.since(since),
            "next": journal.next,
            "invalid_requests": journal.invalid_requests,
        }
    )
