"""Requests to the member API for one member. What can be asked is in `director` and `member`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

Json = dict[str, Any]
File = tuple[str, bytes]  # filename and content


class Refused(Exception):
    """The sandbox would not do it, as the Discord client would not; the message is one sentence."""


class Client:
    """One member's connection while the `async with` block lasts."""

    def __init__(
        self, url: str, name: str = "Ada", channel: str | None = None, *, http: aiohttp.ClientSession | None = None
    ) -> None:
        """`channel` by id or name; without, the first that the member sees. Many members may share one `http`."""
        self._name = name
        self._channel = channel
        self._url = url
        self._http = http
        self._shared = http is not None

    async def __aenter__(self) -> Self:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._http = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None and not self._shared:
            await self._http.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("Use Member in an `async with` block.")
        return self._http

    async def _get(self, path: str, **query: Any) -> Json:
        return await self._send("GET", path, **query)

    async def _send(self, method: str, path: str, body: Json | None = None, **query: Any) -> Json:
        params = {key: str(value) for key, value in query.items()}
        async with self._session.request(method, self._url + path, params=params, json=body) as response:
            return await _checked(response)

    async def _post(self, path: str, body: Json, parts: Mapping[str, list[File]] | None = None) -> Json:
        if not any((parts or {}).values()):
            return await self._send("POST", path, body)
        form = aiohttp.FormData(quote_fields=False)  # filenames as they are
        form.add_field("payload_json", json.dumps(body), content_type="application/json")
        for name, listed in (parts or {}).items():
            for filename, data in listed:
                form.add_field(name, data, filename=filename, content_type="application/octet-stream")
        async with self._session.post(self._url + path, data=form) as response:
            return await _checked(response)


async def _checked(response: aiohttp.ClientResponse) -> Json:
    if response.status == 204:
        return {}
    body: Json = await response.json()
    if response.status >= 400:
        raise Refused(body["error"])
    return body
