"""How much is taken of what a server sends: a wire that gives up where an answer has no end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

MAX_ANSWER_BYTES = 256 * 2**20
"""Of one answer: four pictures of 4K as PNG, in base64."""


class TooMuch(Exception):
    """A server sends more than any picture takes, or packed, so that nobody can tell how much it is."""


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken = 0
        async for part in self._stream:
            taken += len(part)
            if taken > self._most:
                raise TooMuch(f"more than {self._most} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx2.AsyncHTTPTransport):
    """A wire whose answers have an end. No proxy of the environment is used."""

    def __init__(self, most: int = MAX_ANSWER_BYTES) -> None:
        super().__init__()
        self._most = most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As every transport does."""
        # Packed, a few bytes could become any number of them.
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            await response.aclose()
            raise TooMuch("it is packed")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._most)
        return response
