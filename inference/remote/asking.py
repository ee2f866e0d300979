"""One request to one server, by OpenAI's own client. What is asked is said in `words`, what errors mean in `refusals`.

The client would send a request again whose answer was lost, and that may be paid twice: here it does so only where the
server has said that it painted nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import openai

from inference.catalog.remotes import RemoteEntry
from inference.errors import TaskError
from inference.remote.bounds import BoundedTransport

CONNECT_S = 15.0

TRIES = 3
"""How often a server is asked that has no time, or is broken for the moment."""

WAIT_S = 60.0
"""The longest wait before the next, whatever a server wishes: who would wait longer is told."""

BACKOFF_S = 0.5
"""The first wait where the server names none; each further one is twice as long."""


class Server:
    """What has one entry's models. Close it in the end."""

    def __init__(self, entry: RemoteEntry, key: str | None) -> None:
        self._entry = entry
        self._http = httpx2.AsyncClient(
            transport=BoundedTransport(), follow_redirects=False, timeout=httpx2.Timeout(None, connect=CONNECT_S)
        )
        self._client = openai.AsyncOpenAI(
            # Servers that want no key get a word that is none.
            api_key=key or "none",
            base_url=entry.base_url,
            http_client=self._http,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            max_retries=0,
        )

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()

    async def paint(self, said: Mapping[str, Any], count: int, show: Callable[[bytes], None]) -> list[bytes]:
        """Ask for so many pictures; their files, and on the way there each that the server streams is shown.

        Raises what the client raises, TimeoutError, TooMuch, and TaskError where an answer is none.
        """
        waited = BACKOFF_S
        for tried in range(1, TRIES + 1):
            try:
                async with asyncio.timeout(self._entry.timeout_s):
                    return await self._paint(said, count, show)
            except (openai.RateLimitError, openai.InternalServerError) as error:
                wait_s = _wanted(error.response)
                if wait_s is None:
                    wait_s, waited = waited * random.uniform(0.75, 1.25), waited * 2
                if tried == TRIES or wait_s > WAIT_S or error.code == "insufficient_quota":
                    raise
                await asyncio.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    async def _paint(self, said: Mapping[str, Any], count: int, show: Callable[[bytes], None]) -> list[bytes]:
        images: Any = self._client.images
        ask = images.edit if "image" in said else images.generate
        if not said.get("stream"):
            answer = await ask(**said)
            found = [await self._file(each) for each in answer.data or ()]
        else:
            found, left = [], self._entry.previews
            async with await ask(**said) as events:
                async for event in events:
                    kind = str(getattr(event, "type", ""))
                    if kind.endswith(".partial_image") and left:
                        # Each is read by a process of its own.
                        left -= 1
                        show(_bytes(event.b64_json))
                    elif kind.endswith(".completed"):
                        found.append(_bytes(event.b64_json))
        if len(found) != count:
            raise TaskError("remote_broken")
        return found

    async def _file(self, picture: Any) -> bytes:
        """A picture's file, which the answer has or says where it lies."""
        if picture.b64_json:
            return _bytes(picture.b64_json)
        if not picture.url:
            raise TaskError("remote_broken")
        url, own = httpx2.URL(picture.url), httpx2.URL(self._entry.base_url)
        # Nobody sends this process anywhere else in this network.
        if url.scheme != "https" and (url.scheme, url.host, url.port) != (own.scheme, own.host, own.port):
            raise TaskError("remote_broken")
        answer = await self._http.get(url)
        if answer.status_code != httpx2.codes.OK:
            raise TaskError("remote_broken")
        return answer.content


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise TaskError("remote_broken") from error


def _wanted(response: httpx2.Response) -> float | None:
    """How long a server wants to be left alone, in seconds; None where it does not say so in a number."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(response.headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if seconds >= 0:
            return seconds
    return None
