"""The web server: one address, routes that are given to it, and who is let in. Knows nothing of what is shown.

Nobody logs in here: whoever reaches the address reads it. A browser is kept from reading it for a stranger's page, by
the name that it was asked for (DNS rebinding) and by what its answers allow.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from yarl import URL

from bot.settings import Address

log = logging.getLogger(__name__)

CLOSE_WITHIN_S = 1.0
"""How long answers that are under way may take at the end."""

MISDIRECTED = 421

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer, where it does not say otherwise itself."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(address: Address | None, routes: Iterable[web.RouteDef]) -> AsyncIterator[None]:
    """Serve these routes while the block lasts; nothing where there is no address.

    An address that cannot be had is one line for the operator, and the block runs without.
    """
    if address is None:
        yield
        return
    runner = web.AppRunner(application(address, routes), access_log=None, shutdown_timeout=CLOSE_WITHIN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            log.warning("EASEL_WATCH: nothing can be looked at on %s: %s", address, error.strerror or error)
        else:
            log.info("to be looked at on http://%s", address)
        yield
    finally:
        await runner.cleanup()


def application(address: Address, routes: Iterable[web.RouteDef]) -> web.Application:
    """What answers on this address."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        if not is_ours(request.headers.get("Host", ""), address):
            return web.Response(status=MISDIRECTED, text="This is not asked for by this name: set EASEL_WATCH to it.\n")
        return await handler(request)

    async def close_to_others(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)

    app = web.Application(middlewares=[guard])
    app.on_response_prepare.append(close_to_others)
    app.add_routes(routes)
    return app


def is_ours(host: str, address: Address) -> bool:
    """Whether a Host header names this server so as no stranger's page can: by a number, by a name without a dot, which
    nobody can register, or by the name that the operator gave."""
    try:
        name = (URL(f"http://{host}").host or "").rstrip(".").lower()
    except ValueError:
        return False
    if not name or name == address.host.lower():
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name
    return True
