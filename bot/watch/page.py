"""The status page: its files, which lie in `page`, and what it asks for while it is open.

It can be read by whoever reaches the address, and nothing can be done with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import web

from bot.watch.status import Observatory

FILES = Path(__file__).parent / "page"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a browser lets the page do: nothing but its own files, whatever anybody's words in it are."""

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes(observatory: Observatory) -> list[web.RouteDef]:
    """What is shown, for `server.serving`."""

    async def status(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(await observatory.look()), content_type="application/json")

    async def preview(request: web.Request) -> web.Response:
        picture = observatory.preview(int(request.match_info["job"]))
        if picture is None:
            raise web.HTTPNotFound(text="There is nothing to be seen.\n")
        return web.Response(body=picture, content_type="image/webp")

    return [
        web.get("/", _file("index.html")),
        *(web.get(f"/status/{name}", _file(name)) for name in ("status.css", "status.js", "view.js", "icon.svg")),
        web.get("/status/now", status),
        web.get(r"/status/preview/{job:\d{1,18}}", preview),
    ]


def _file(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    file = FILES / name

    async def show(_: web.Request) -> web.Response:
        return web.Response(
            body=file.read_bytes(),
            content_type=TYPES[file.suffix],
            charset="utf-8",
            headers={"Content-Security-Policy": POLICY},
        )

    return show
