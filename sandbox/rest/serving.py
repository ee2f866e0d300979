"""What happens to every REST request around its handler: who asks, faults, rate limits, errors, the log."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.clock import iso
from sandbox.errors import DiscordError, method_not_allowed, not_found, planned, too_many_requests, unauthorized
from sandbox.rest.payload import PAYLOAD
from sandbox.rest.ratelimits import RateLimits, too_many_headers
from sandbox.state import State, state_of
from sandbox.testing.failures import Failure

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PREFIX = "/api/v10"
RATE_LIMITS: web.AppKey[RateLimits] = web.AppKey("rate_limits", RateLimits)
_MAJOR = ("channel", "guild", "webhook", "token", "interaction")
# Their token is in the path, or they are for everybody.
_PUBLIC = ("/webhooks/", "/interactions/", "/gateway")
# Answers to members do not count towards what a bot may ask in a second.
_FREE = ("/webhooks/", "/interactions/")


def answer(body: Any, status: int = 200) -> web.Response:
    """Return a JSON answer. Its content type has no charset: some libraries compare the whole header."""
    return web.Response(
        body=json.dumps(body, separators=(",", ":")).encode(), status=status, content_type="application/json"
    )


def no_content() -> web.Response:
    return web.Response(status=204)


@web.middleware
async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
    state = state_of(request)
    path = request.path.removeprefix(PREFIX)
    if state.faults.settings.outage:
        return cut(request)
    if state.faults.settings.latency_s:
        await state.clock.sleep(state.faults.settings.latency_s)
    failure = state.faults.take_failure(request.method, path)
    if failure is not None:
        await state.faults.hold(failure, state.clock)
    if state.faults.settings.outage or (failure is not None and failure.cut == "before"):
        _log(request, None, path, state, failure)
        return cut(request)
    response = await _answered(request, handler, path, failure)
    _log(request, response, path, state, failure)
    return response if failure is None or failure.cut is None else cut(request)


def cut(request: web.Request) -> web.Response:
    """Close the connection without an answer; what is returned is sent to nobody."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _answered(request: web.Request, handler: Handler, path: str, failure: Failure | None) -> web.StreamResponse:
    """Return the handler's answer, or the refusal that comes before it or out of it."""
    state = state_of(request)
    headers, retry_after, for_all = _count(request, state)
    try:
        if failure is not None and failure.status == 429:
            retry_after, for_all = failure.retry_after, failure.for_all
        elif failure is not None and failure.status is not None:
            raise planned(failure.status, failure.code)
        if retry_after is not None:
            headers |= too_many_headers(retry_after, for_all=for_all)
            raise too_many_requests(retry_after, for_all=for_all)
        _check_sender(request, path, state)
        response = await handler(request)
    except DiscordError as error:
        response = answer(error.body, error.status)
    except web.HTTPNotFound:
        response = answer(not_found().body, 404)
    except web.HTTPMethodNotAllowed:
        response = answer(method_not_allowed().body, 405)
    except web.HTTPRequestEntityTooLarge:
        response = answer({"message": "Request entity too large", "code": 40005}, 413)
    response.headers.update(headers)
    return response


def _check_sender(request: web.Request, path: str, state: State) -> None:
    agent = request.headers.get("User-Agent", "")
    given = request.headers.get("Authorization")
    anonymous = given is None and path.startswith(_PUBLIC)
    if not agent or not (anonymous or agent.startswith("DiscordBot (")):
        # Discord asks bots to call themselves "DiscordBot ($url, $version)" and blocks what it does not like.
        raise DiscordError(403, 40333, "internal network error")
    if anonymous:
        return
    if given != f"Bot {state.token}":
        raise unauthorized()


def _count(request: web.Request, state: State) -> tuple[dict[str, str], float | None, bool]:
    """Return the headers, after how many seconds to try again if need be, and whether that is so for all requests."""
    limits, enforced = request.config_dict[RATE_LIMITS], state.faults.settings.rate_limits
    if enforced and not request.path.removeprefix(PREFIX).startswith(_FREE):
        retry_after = limits.count_for_all()
        if retry_after is not None:
            return {}, retry_after, True
    resource = request.match_info.route.resource
    route = f"{request.method} {_template(request)}" if resource else request.method
    major = ":".join(request.match_info.get(name, "") for name in _MAJOR)
    return *limits.count(route, major, enforced=enforced and resource is not None), False


def _template(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical.removeprefix(PREFIX) if resource else request.path.removeprefix(PREFIX)


def _log(
    request: web.Request, response: web.StreamResponse | None, path: str, state: State, failure: Failure | None
) -> None:
    payload = request.get(PAYLOAD)
    body = response.body if isinstance(response, web.Response) else None
    uploads = payload.uploads.items() if payload else ()
    state.journal.append(
        {
            "at": iso(state.clock.now()),
            "method": request.method,
            "path": path,
            "route": _template(request),
            "query": dict(request.query),
            "request": payload.body if payload else None,
            "files": [
                {"index": index, "filename": upload.filename, "size": len(upload.data)} for index, upload in uploads
            ],
            "status": None if response is None else response.status,
            "response": body if isinstance(body, bytes) else None,
            "cut": "before" if response is None else failure.cut if failure else None,
        }
    )
