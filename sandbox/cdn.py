"""The content delivery network: uploaded files, smaller copies of pictures, and avatars."""

from __future__ import annotations

import asyncio
import colorsys
import io
from functools import lru_cache
from pathlib import Path

from aiohttp import web
from PIL import Image, ImageDraw, ImageFont

from sandbox.state import state_of
from sandbox.storage import snowflakes

routes = web.RouteTableDef()
_FORMATS = {"png": "PNG", "jpeg": "JPEG", "jpg": "JPEG", "webp": "WEBP"}
_LARGEST_SIDE = 4096
_AVATAR_SIDE = 128


@routes.get("/{kind:attachments|ephemeral-attachments}/{channel}/{attachment}/{filename}")
async def get_attachment(request: web.Request) -> web.StreamResponse:
    state, query = state_of(request), request.query
    signed = (query.get("ex", ""), query.get("is", ""), query.get("hm", ""))
    if not state.files.is_valid(request.path, *signed):
        return web.Response(status=404, text="This content is no longer available.")
    channel_id = snowflakes.parse(request.match_info["channel"])
    attachment_id = snowflakes.parse(request.match_info["attachment"])
    path = state.files.find(channel_id or 0, attachment_id or 0, request.match_info["filename"])
    if path is None:
        return web.Response(status=404, text="This content is no longer available.")
    caching = {"Cache-Control": "private, max-age=86400"}
    if "width" in query or "height" in query or "format" in query:
        try:
            sides = (int(query.get("width", 0)), int(query.get("height", 0)))
            kind = _FORMATS[query.get("format", path.suffix.lstrip(".").lower() or "png")]
        except (ValueError, KeyError):
            return web.Response(status=400, text="Invalid resize parameters.")
        try:
            resized = await asyncio.to_thread(_resized, path, sides, kind)
        except (OSError, ValueError, Image.DecompressionBombError):
            return web.Response(status=415, text="Unsupported media.")
        return web.Response(body=resized, content_type=f"image/{kind.lower()}", headers=caching)
    return web.FileResponse(path, headers=caching)


@routes.get("/avatars/{user}/{avatar}")
async def get_avatar(request: web.Request) -> web.Response:
    person = state_of(request).world.people.get(snowflakes.parse(request.match_info["user"]) or 0)
    stem, _, suffix = request.match_info["avatar"].partition(".")
    if person is None or stem != person.avatar or suffix not in _FORMATS:
        raise web.HTTPNotFound(text="404: Not Found")
    return web.Response(
        body=_avatar(person.name, person.id, _FORMATS[suffix]),
        content_type=f"image/{_FORMATS[suffix].lower()}",
        headers={"Cache-Control": "public, max-age=86400"},
    )


@routes.get("/embed/avatars/{index:[0-5]}.png")
async def get_default_avatar(request: web.Request) -> web.Response:
    return web.Response(body=_avatar("?", int(request.match_info["index"]), "PNG"), content_type="image/png")


def _resized(path: Path, sides: tuple[int, int], kind: str) -> bytes:
    """Return a picture within `sides` (0: no bound), never larger than it is."""
    with Image.open(path) as picture:
        width = min(sides[0] or _LARGEST_SIDE, picture.width, _LARGEST_SIDE)
        height = min(sides[1] or _LARGEST_SIDE, picture.height, _LARGEST_SIDE)
        smaller = picture.convert("RGB" if kind == "JPEG" else "RGBA")
        smaller.thumbnail((max(width, 1), max(height, 1)), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    smaller.save(out, kind)
    return out.getvalue()


@lru_cache(maxsize=64)
def _avatar(name: str, seed: int, kind: str) -> bytes:
    """Draw an initial on a colour of its own."""
    hue = (seed % 1000 * 0.618034) % 1  # neighbours in number are far apart in colour
    red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.55, 0.75))
    picture = Image.new("RGB", (_AVATAR_SIDE, _AVATAR_SIDE), (red, green, blue))
    font = ImageFont.load_default(_AVATAR_SIDE * 0.55)
    middle = (_AVATAR_SIDE / 2, _AVATAR_SIDE / 2)
    ImageDraw.Draw(picture).text(middle, name[0], fill="white", font=font, anchor="mm")
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()
