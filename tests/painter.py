"""A server that speaks OpenAI's images API, on this machine: it paints plain colours, or does as it is told.

What it answers is built from the official client's own types; what it is asked is kept as it came.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from openai.types import Image as Answered
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent, ImagesResponse
from openai.types.image_gen_completed_event import Usage, UsageInputTokensDetails
from PIL import Image

KEY = "sk-only-for-the-server"
COLOURS = ("red", "green", "blue", "yellow")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request as it came: its fields, its files, and its headers."""

    path: str
    fields: dict[str, Any]
    files: dict[str, list[bytes]]
    headers: Mapping[str, str]


@dataclass
class Painter:
    """The server. What it is to do with the requests that come next, it is told by `next`."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    next: list[Answer] = field(default_factory=list)
    held: asyncio.Event | None = None
    """Where it is there, nothing is answered before it happens."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Happens when the first request has come."""
    at_work: int = 0
    most_at_work: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What is done with every request."""
        asked = await _read(request)
        self.asked.append(asked)
        self.came.set()
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            if self.held is not None:
                await self.held.wait()
            if self.next:
                return await self.next.pop(0)(request)
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                return refusal(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")
            if asked.fields.get("stream") in (True, "true"):
                return await _streamed(request, asked)
            return web.Response(text=_painted(asked).model_dump_json(), content_type="application/json")
        finally:
            self.at_work -= 1


async def _read(request: web.Request) -> Asked:
    if request.content_type == "application/json":
        return Asked(request.path, await request.json(), {}, request.headers)
    fields: dict[str, Any] = {}
    files: dict[str, list[bytes]] = {}
    async for part in await request.multipart():
        if part.filename:  # type: ignore[union-attr]
            files.setdefault(str(part.name).removesuffix("[]"), []).append(await part.read())  # type: ignore[union-attr]
        else:
            fields[str(part.name)] = await part.text()  # type: ignore[union-attr]
    return Asked(request.path, fields, files, request.headers)


def picture(asked: Asked, colour: str, kind: str = "PNG") -> str:
    """A picture of one colour in the size that was asked for, as base64."""
    width, height = map(int, str(asked.fields["size"]).split("x"))
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, format=kind)
    return base64.b64encode(stream.getvalue()).decode()


def _painted(asked: Asked) -> ImagesResponse:
    colours = COLOURS[: int(asked.fields.get("n", 1))]
    return ImagesResponse(created=1, data=[Answered(b64_json=picture(asked, colour)) for colour in colours])


async def _streamed(request: web.Request, asked: Asked) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    told: dict[str, Any] = {
        "background": "opaque",
        "created_at": 1,
        "output_format": "png",
        "quality": "low",
        "size": asked.fields["size"],
    }
    kind = "image_edit" if asked.path.endswith("edits") else "image_generation"
    usage = Usage(
        input_tokens=1,
        input_tokens_details=UsageInputTokensDetails(image_tokens=0, text_tokens=1),
        output_tokens=1,
        total_tokens=2,
    )
    events: list[ImageGenPartialImageEvent | ImageGenCompletedEvent] = [
        ImageGenPartialImageEvent(
            b64_json=picture(asked, "gray"), partial_image_index=0, type="image_generation.partial_image", **told
        ),
        ImageGenCompletedEvent(b64_json=picture(asked, "red"), usage=usage, type="image_generation.completed", **told),
    ]
    for event in events:
        data = event.model_dump_json().replace("image_generation.", f"{kind}.")
        await response.write(f"event: {event.type}\ndata: {data}\n\n".encode())
        await asyncio.sleep(0.3)
    await response.write_eof()
    return response


def refusal(status: int, code: str, message: str = "no", **headers: str) -> web.Response:
    """An error as OpenAI words it."""
    body = {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=status, headers=named)


def refuses(status: int, code: str, message: str = "no", **headers: str) -> Answer:
    """An answer that is that."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return refusal(status, code, message, **headers)

    return answer


def sends(body: bytes) -> Answer:
    """An answer that is these bytes, whatever they are."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return answer


async def _lying_there(request: web.Request) -> web.StreamResponse:
    stream = io.BytesIO()
    Image.new("RGB", (256, 256), request.match_info["colour"]).save(stream, format="PNG")
    return web.Response(body=stream.getvalue(), content_type="image/png")


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """No answer: the connection is closed after the request has come."""
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


@asynccontextmanager
async def painter() -> AsyncIterator[Painter]:
    """The server, on a free port of 127.0.0.1."""
    made = Painter()
    app = web.Application(client_max_size=2**26)
    for path in ("/v1/images/generations", "/v1/images/edits"):
        app.router.add_post(path, made.answer)
    app.router.add_get("/v1/pictures/{colour}", _lying_there)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        made.url = f"http://127.0.0.1:{port}/v1"
        yield made
    finally:
        await runner.cleanup()


def entry(url: str, name: str = "far", **fields: str) -> str:
    """A model of that server, as models.toml has it; `fields` as they are written there."""
    written = {
        "title": '"Far"',
        "family": '"openai"',
        "base_url": f'"{url}"',
        "model": '"gpt-image-2"',
        "key": '"FAR_KEY"',
        "sizes": '["256x256", "384x256"]',
        "edits": "true",
        "references": "2",
        **fields,
    }
    return f"\n[models.{name}]\n" + "".join(f"{name} = {value}\n" for name, value in written.items())
