"""The REST application as a whole."""

from __future__ import annotations

from aiohttp import web

from sandbox.clock import Clock
from sandbox.rest import callbacks, channels, people, registration, webhooks
from sandbox.rest.payload import MOST_BYTES
from sandbox.rest.ratelimits import RateLimits
from sandbox.rest.serving import RATE_LIMITS, serve


def rest_application(clock: Clock) -> web.Application:
    """Return what serves `/api/v10`."""
    application = web.Application(middlewares=[serve], client_max_size=MOST_BYTES)
    application[RATE_LIMITS] = RateLimits(clock)
    for part in (people, registration, channels, callbacks, webhooks):
        application.router.add_routes(part.routes)
    return application
