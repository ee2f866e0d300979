"""What a request carries: its JSON, and the files beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from sandbox.errors import invalid_json, too_large
from sandbox.limits.forms import Form
from sandbox.state import state_of
from sandbox.storage.attachments import Upload

Json = dict[str, Any]
_FILE_PART = re.compile(r"files?(?:\[(\d+)\])?")
_CHUNK = 1 << 16
MOST_BYTES = 64 * 1024 * 1024  # of a whole request


@dataclass
class Payload:
    """A request's JSON and its uploads by the n of `files[n]`."""

    body: Any = None
    uploads: dict[int, Upload] = field(default_factory=dict)

    @property
    def filenames(self) -> dict[int, str]:
        return {index: upload.filename for index, upload in self.uploads.items()}


PAYLOAD = web.RequestKey("payload", Payload)


async def read_payload(request: web.Request) -> Payload:
    """Read a request's body; raise Discord's errors for one that cannot be read or is too large."""
    payload = Payload()
    request[PAYLOAD] = payload  # for the log, also where reading fails
    if not request.can_read_body:
        return payload
    if request.content_type == "application/json":
        payload.body = _parsed(await request.read())
    elif request.content_type == "multipart/form-data":
        await _read_parts(request, payload)
    else:
        form = Form()
        form.error(
            (),
            "CONTENT_TYPE_INVALID",
            "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}.",
        )
        form.close()
    return payload


async def read_object(request: web.Request) -> Payload:
    """Read a request whose JSON must be an object; an absent body counts as an empty one."""
    payload = await read_payload(request)
    if payload.body is None:
        payload.body = {}
    if not isinstance(payload.body, dict):
        form = Form()
        form.error((), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        form.close()
    return payload


async def _read_parts(request: web.Request, payload: Payload) -> None:
    limit = state_of(request).faults.settings.attachment_size_limit
    oversized = False
    loose: Json = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise invalid_json()
        data = bytearray()
        while chunk := await part.read_chunk(_CHUNK):
            data += chunk
            if len(data) > limit and part.filename is not None:
                oversized = True  # read on, and forget: the sender listens only when it has sent all
                data.clear()
        found = _FILE_PART.fullmatch(part.name or "")
        if part.name == "payload_json":
            payload.body = _parsed(bytes(data))
        elif found and part.filename is not None:
            content_type = part.headers.get("Content-Type", "")
            index = int(found[1]) if found[1] else len(payload.uploads)
            payload.uploads[index] = Upload(part.filename, content_type, bytes(data))
        elif part.name:
            loose[part.name] = data.decode("utf-8", "replace")
    if payload.body is None:
        payload.body = loose
    if oversized:
        raise too_large()


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise invalid_json() from error
