"""The web server for programs: one address, who is let in, and the one error handler.

Every request but that of an address bears a key, which no stranger's page has: so it does not matter by which name
this is reached. No page is let in by its browser either: nothing here says that one may be (CORS).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from bot.errors import MemberError, OperatorError
from bot.jobs import Jobs
from bot.keys import Key
from bot.localisation import Languages
from bot.observer import Observer
from bot.serving.answers import sent
from bot.serving.images import Images
from bot.serving.refusals import Refusal, of_error
from bot.settings import Address
from bot.words import say, speak

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 2**20
"""Of what is no form with files."""

CLOSE_WITHIN_S = 1.0

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """What answers programs."""

    def __init__(
        self,
        images: Images,
        jobs: Jobs,
        languages: Languages,
        broken: Callable[[OperatorError], None],
        observer: Observer | None = None,
    ) -> None:
        """`broken` is told why the bot cannot go on."""
        self._images = images
        self._jobs = jobs
        self._languages = languages
        self._broken = broken
        self._observer = observer or Observer()

    def application(self) -> web.Application:
        """What it answers."""

        @web.middleware
        async def answered(request: web.Request, handler: Handle) -> web.StreamResponse:
            return await self._answered(request, handler)

        app = web.Application(middlewares=[answered], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_close_to_others)
        for (method, path), handler in self._images.handlers().items():
            app.router.add_route(method, path, self._by_key(handler))
        app.router.add_get("/v1/pictures/{link}", self._images.picture)
        return app

    def _by_key(self, handler: Callable[[web.Request, Key], Awaitable[web.StreamResponse]]) -> Handle:
        async def handle(request: web.Request) -> web.StreamResponse:
            key = await self._key(request)
            speak(self._languages.nearest(self._jobs.members.of(key.member_id).language, key.language))
            return await handler(request, key)

        return handle

    async def _key(self, request: web.Request) -> Key:
        """The key that a request bears. Raises Refusal."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        key = await self._jobs.keys.of_secret(secret.strip()) if kind.lower() == "bearer" and secret else None
        if key is None:
            text = say("This is no key, or it was revoked: make one with /key and send it as Bearer.")
            raise Refusal(401, text, code="invalid_api_key")
        await self._jobs.keys.used(key)
        return key

    async def _answered(self, request: web.Request, handle: Handle) -> web.StreamResponse:
        # Of one connection the requests come one after the other, by different keys perhaps.
        speak(self._languages.nearest())
        try:
            response = await handle(request)
            await sent(_given(request, response))
            return response
        except Refusal as refusal:
            return refusal.response()
        except MemberError as error:
            self._observer.refused("key", error.reason)
            return of_error(error).response()
        except web.HTTPException as error:
            return Refusal(error.status, error.reason, code="http").response()
        except OperatorError as error:
            self._broken(error)
            return Refusal(500, say("Easel cannot go on and is being stopped: its operator was told why.")).response()
        except ConnectionError:
            # Nobody is there any more to hear of it, or wants to.
            if request.transport is not None:
                request.transport.abort()
            raise
        except Exception:
            reference = secrets.token_hex(3)
            log.exception("error %s", reference)
            self._observer.broke()
            text = say(
                "Something went wrong inside Easel: try again, or give whoever runs it the word {reference}.",
                reference=reference,
            )
            return Refusal(500, text, code="internal").response()


async def _given(request: web.Request, response: web.StreamResponse) -> None:
    """Send all of an answer."""
    await response.prepare(request)
    await response.write_eof()


async def _close_to_others(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@asynccontextmanager
async def serving(address: Address | None, application: web.Application) -> AsyncIterator[None]:
    """Serve programs while the block lasts; nothing where there is no address.

    An address that cannot be had is one line for the operator, and the block runs without.
    """
    if address is None:
        yield
        return
    # What aiohttp says of requests that are none: anybody can send those, and keys may stand in them.
    unread = logging.getLogger(f"{__name__}.unread")
    unread.disabled = True
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=CLOSE_WITHIN_S,
        # Who hangs up is not worked for any longer.
        handler_cancellation=True,
        logger=unread,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            log.error("EASEL_SERVE: no program can be served on %s: %s", address, error.strerror or error)
        else:
            log.info("programs are served on http://%s/v1", address)
        yield
    finally:
        await runner.cleanup()
