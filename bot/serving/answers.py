"""What a program gets: its pictures in the shape of OpenAI's images API, at once or as they come."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from aiohttp import web

from bot.callers import Caller, Glimpse
from bot.errors import MemberError
from bot.job import Job
from bot.keys import Key
from bot.outgoing import Outgoing
from bot.serving import links
from bot.serving.asked import Generate
from bot.serving.refusals import Refusal, of_end, of_error
from bot.words import say
from inference.protocol import logs

BEST = 100
"""The quality of a webp or jpeg of which nothing is said."""

TAKEN_WITHIN_S = 300.0
"""How long a program may take over what it is sent: who never reads would have it kept here."""

ALIVE_EVERY_S = 15.0
"""So often a stream says that it is there, so that nothing between gives it up."""

NOTHING_COUNTED = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
"""Clients expect it; there are no tokens to pay for."""

About = Literal["image_generation", "image_edit"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a program wants its pictures."""

    key: Key
    asked: Generate
    origin: str
    """Under which name it reached us: its addresses begin with it."""
    about: About

    @property
    def quality(self) -> int:
        """Of a webp or jpeg."""
        return BEST if self.asked.output_compression is None else self.asked.output_compression


class Answers:
    """Makes the answers to ended jobs."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def answer(self, request: web.Request, caller: Caller, wanted: Wanted) -> web.StreamResponse:
        """The pictures of the job that is waited for, in the way that is wanted. Raises Refusal."""
        return await (self._stream(request, caller, wanted) if wanted.asked.stream else self._whole(caller, wanted))

    async def _whole(self, caller: Caller, wanted: Wanted) -> web.Response:
        """All pictures, once there are. Raises Refusal."""
        job = _finished((await caller.end()).job)
        answer = {
            "created": int(time.time()),
            "data": [await self._item(job, index, wanted) for index in range(len(job.pictures))],
            "background": "opaque",
            "output_format": wanted.asked.format,
            "size": _size(job, 0),
            "job": job.id,
        }
        body = await asyncio.to_thread(msgspec.json.encode, answer)
        return web.Response(body=body, content_type="application/json")

    async def _stream(self, request: web.Request, caller: Caller, wanted: Wanted) -> web.StreamResponse:
        """The same as events, with as many pictures on the way as are wanted, where there are so many. What goes wrong
        is an event as well: its status was sent long before."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            job = _finished(await self._show_glimpses(response, caller, wanted))
            for index in range(len(job.pictures)):
                event = {
                    **_event(f"{wanted.about}.completed", wanted.asked.format),
                    **await self._item(job, index, wanted),
                    "size": _size(job, index),
                    "usage": NOTHING_COUNTED,
                    "job": job.id,
                }
                await _send(response, event)
        except Refusal as refusal:
            await _send(response, {"type": "error", "error": refusal.error})
        await sent(response.write_eof())
        return response

    async def _show_glimpses(self, response: web.StreamResponse, caller: Caller, wanted: Wanted) -> Job | None:
        """Send what the pictures look like, spread over the steps, until they are there; the job as it ended."""
        sent, most = 0, wanted.asked.partial_images or 0
        while True:
            try:
                async with asyncio.timeout(ALIVE_EVERY_S):
                    news = await caller.heard()
            except TimeoutError:
                await _write(response, b": waiting\n\n")
                continue
            if not isinstance(news, Glimpse):
                return news.job
            if sent < most and news.share >= sent / (most + 1):
                event = {
                    **_event(f"{wanted.about}.partial_image", "webp"),
                    "b64_json": base64.b64encode(news.image).decode(),
                    "partial_image_index": sent,
                    "size": "auto",
                }
                await _send(response, event)
                sent += 1

    async def _item(self, job: Job, index: int, wanted: Wanted) -> dict[str, Any]:
        """One picture. Raises Refusal."""
        picture = job.pictures[index]
        item: dict[str, Any] = {"seed": picture.seed}
        if picture.flagged:
            item["flagged"] = True
        if wanted.asked.as_url:
            link = links.made(wanted.key, job.id, index, wanted.asked.format, wanted.quality)
            return {**item, "url": f"{wanted.origin}/v1/pictures/{link}"}
        data = await self.file(job, index, wanted.asked.format, wanted.quality)
        return {**item, "b64_json": (await asyncio.to_thread(base64.b64encode, data)).decode()}

    async def file(self, job: Job, index: int, format_: str, quality: int) -> bytes:
        """One picture as it goes out. Raises Refusal."""
        with ExitStack() as desks, logs.about(job.id):
            try:
                shown = await self._outgoing.converted(job, index, format_, quality, desks)
                return await asyncio.to_thread(shown.file.read_bytes)
            except FileNotFoundError as error:
                raise Refusal(404, say("This picture is gone: ask for it again."), code="gone") from error
            except MemberError as error:
                raise of_error(error) from error


def _finished(job: Job | None) -> Job:
    """The job, if it has ended well. Raises Refusal for all others."""
    if (refusal := of_end(job)) is not None:
        raise refusal
    assert job is not None, "it is finished"
    return job


def _size(job: Job, index: int) -> str:
    return f"{job.pictures[index].width}x{job.pictures[index].height}"


def _event(kind: str, format_: str) -> dict[str, Any]:
    return {
        "type": kind,
        "created_at": int(time.time()),
        "background": "opaque",
        "quality": "auto",
        "output_format": format_,
    }


async def _send(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    body = await asyncio.to_thread(msgspec.json.encode, event)
    await _write(response, b"event: " + str(event["type"]).encode() + b"\ndata: " + body + b"\n\n")


async def _write(response: web.StreamResponse, data: bytes) -> None:
    await sent(response.write(data))


async def sent(sending: Awaitable[object]) -> None:
    """Wait until this is taken. Raises ConnectionError where that takes too long: as if whoever asked had hung up."""
    try:
        async with asyncio.timeout(TAKEN_WITHIN_S):
            await sending
    except TimeoutError as error:
        raise ConnectionResetError("what is sent is not taken") from error
