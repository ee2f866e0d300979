"""What is sent, received: bounded in size and time, files into files of ours, nothing of them decoded here."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from bot.pictures.downloads import MAX_BYTES
from bot.pictures.posted import Sent
from bot.serving.refusals import Refusal
from bot.words import say

MAX_FORM_BYTES = 2 * MAX_BYTES
"""Of all files of one form together."""

MAX_FILES = 17
"""OpenAI's clients send up to 16 pictures, and a mask."""

MAX_FIELDS, MAX_FIELD_BYTES = 64, 64 * 2**10
RECEIVED_WITHIN_S = 120.0
PIECE_BYTES = 256 * 2**10

IMAGE, IMAGES, MASK = "image", "image[]", "mask"


@dataclass
class Form:
    """What was received."""

    fields: dict[str, str] = field(default_factory=dict)
    images: list[Sent] = field(default_factory=list)
    mask: Sent | None = None


async def body(request: web.Request) -> bytes:
    """A body that is no form. Raises Refusal."""
    try:
        async with asyncio.timeout(RECEIVED_WITHIN_S):
            return await request.read()
    except TimeoutError as error:
        raise Refusal(408, say("The request was too long on its way: send it again."), code="timeout") from error
    except web.RequestPayloadError as error:
        raise Refusal(400, say("The body cannot be read."), code="invalid_body") from error


async def receive(request: web.Request, folder: Path) -> Form:
    """The fields of a form, and its files in this folder. Raises Refusal, OSError where there is no room for them."""
    if not request.content_type.startswith("multipart/"):
        raise Refusal(415, say("Send the picture in a form: multipart/form-data."), code="unsupported_media_type")
    form = Form()
    try:
        async with asyncio.timeout(RECEIVED_WITHIN_S):
            await _receive(request, folder, form)
    except TimeoutError as error:
        raise Refusal(
            408, say("The pictures were too long on their way: send smaller ones."), code="timeout"
        ) from error
    except (ValueError, UnicodeDecodeError, web.RequestPayloadError) as error:
        raise Refusal(400, say("The form cannot be read."), code="invalid_form") from error
    return form


async def _receive(request: web.Request, folder: Path, form: Form) -> None:
    left = MAX_FORM_BYTES
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, aiohttp.BodyPartReader) or not part.name:
            raise ValueError("a part without a name")
        if part.name not in (IMAGE, IMAGES, MASK):
            if len(form.fields) >= MAX_FIELDS:
                raise ValueError("too many fields")
            form.fields[part.name] = (await _piece(part, MAX_FIELD_BYTES)).decode()
            continue
        if len(form.images) + (form.mask is not None) >= MAX_FILES:
            raise Refusal(400, say("These are too many pictures: send fewer."), param=IMAGE)
        file = folder / f"{secrets.token_hex(8)}.upload"
        left -= await _write(part, file, min(left, MAX_BYTES))
        if part.name != MASK:
            form.images.append(Sent(file))
        elif form.mask is None:
            form.mask = Sent(file)
        else:
            raise Refusal(400, say("There is one mask for all pictures: send one."), param=MASK)


async def _piece(part: aiohttp.BodyPartReader, most: int) -> bytes:
    read = b""
    while piece := await part.read_chunk(PIECE_BYTES):
        read += piece
        if len(read) > most:
            raise ValueError("a field is too long")
    return read


async def _write(part: aiohttp.BodyPartReader, file: Path, most: int) -> int:
    """Write a file of at most so many bytes; returns how many they are."""
    written = 0
    with await asyncio.to_thread(open, file, "xb") as sink:
        while piece := await part.read_chunk(PIECE_BYTES):
            written += len(piece)
            if written > most:
                text = say(
                    "{most} MiB are the most of a picture, and {together} of all: make them smaller.",
                    most=MAX_BYTES // 2**20,
                    together=MAX_FORM_BYTES // 2**20,
                )
                raise Refusal(413, text, code="too_large", param=IMAGE)
            await asyncio.to_thread(sink.write, piece)
    return written
