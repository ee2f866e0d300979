"""A tiny Discord library of our own, on bare aiohttp: what the protocol asks for and nothing that a library adds."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import zlib
from typing import Any, Self

import aiohttp

from sandbox.server import DEFAULT_TOKEN

Json = dict[str, Any]
APPLICATION = "1100000000000000100"
PREFIX = "/api/v10"
PICTURES = "1100000000000000001"
DIRECT_WITH_ADA = "1100000000000001101"
GUILD = "1100000000000000000"
PRINT_ROOM = "1100000000000002000"
INTENTS = 1 << 0 | 1 << 9 | 1 << 12
ALL_INTENTS = INTENTS | 1 << 1 | 1 << 15  # with privileged ones


class RawBot:
    """REST calls return (status, JSON). `connect` opens the gateway."""

    def __init__(self, url: str, token: str = DEFAULT_TOKEN) -> None:
        self.url = url
        self.token = token
        self.headers: dict[str, str] = {}
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bot {self.token}", "User-Agent": "DiscordBot (https://example.org, 1)"}
        )
        self.gateways: list[Gateway] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for gateway in self.gateways:
            await gateway.close()
        await self._http.close()

    async def call(
        self, method: str, path: str, body: Any = None, files: dict[str, bytes] | None = None, **options: Any
    ) -> tuple[int, Any]:
        """Send one request; `files` become `files[0]`, `files[1]`…"""
        if files:
            form = aiohttp.FormData(quote_fields=False)
            form.add_field("payload_json", json.dumps(body), content_type="application/json")
            for index, (name, data) in enumerate(files.items()):
                form.add_field(f"files[{index}]", data, filename=name, content_type="application/octet-stream")
            options["data"] = form
        elif body is not None:
            options["json"] = body
        async with self._http.request(method, self.url + PREFIX + path, **options) as response:
            self.headers = dict(response.headers)
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def send(self, body: Json, files: dict[str, bytes] | None = None) -> tuple[int, Any]:
        """Post a message in #pictures."""
        return await self.call("POST", f"/channels/{PICTURES}/messages", body, files)

    async def register(self, *commands: Json) -> list[Json]:
        status, registered = await self.call("PUT", f"/applications/{APPLICATION}/commands", list(commands))
        assert status == 200, registered
        return list(registered)

    async def respond(
        self, interaction: Json, body: Json, files: dict[str, bytes] | None = None, query: str = ""
    ) -> tuple[int, Any]:
        path = f"/interactions/{interaction['id']}/{interaction['token']}/callback{query}"
        return await self.call("POST", path, body, files)

    async def webhook(
        self, method: str, interaction: Json, path: str = "", body: Any = None, files: dict[str, bytes] | None = None
    ) -> tuple[int, Any]:
        return await self.call(method, f"/webhooks/{APPLICATION}/{interaction['token']}{path}", body, files)

    async def connect(self, *, compress: bool = False, compression: str = "zlib-stream") -> Gateway:
        """Open the gateway and read its HELLO."""
        _, where = await self.call("GET", "/gateway")
        query = "?v=10&encoding=json" + (f"&compress={compression}" if compress else "")
        gateway = Gateway(await self._http.ws_connect(where["url"] + query), compression if compress else None)
        self.gateways.append(gateway)
        gateway.hello = await gateway.receive()
        return gateway

    async def login(self, *, compress: bool = False, intents: int = INTENTS) -> Gateway:
        """Open the gateway, identify, and read READY and each GUILD_CREATE."""
        gateway = await self.connect(compress=compress)
        await gateway.identify(self.token, intents)
        gateway.ready = (await gateway.event("READY"))["d"]
        gateway.guilds = [(await gateway.event("GUILD_CREATE"))["d"] for _ in gateway.ready["guilds"]]
        return gateway


class Gateway:
    """One gateway connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, compression: str | None) -> None:
        self.socket = socket
        self._unpacker: Any = None
        if compression == "zlib-stream":
            self._unpacker = zlib.decompressobj()
        elif compression is not None and importlib.util.find_spec("zstandard"):
            self._unpacker = importlib.import_module("zstandard").ZstdDecompressor().decompressobj()
        self.hello: Json = {}
        self.ready: Json = {}
        self.guilds: list[Json] = []
        self.sequence: int | None = None

    async def send(self, operation: int, data: Any) -> None:
        await self.socket.send_json({"op": operation, "d": data})

    async def identify(self, token: str, intents: int = INTENTS, **more: Any) -> None:
        await self.send(2, {"token": token, "intents": intents, "properties": {"os": "test"}, **more})

    async def receive(self) -> Json:
        """Return the next frame; raise ConnectionError when there is none."""
        async with asyncio.timeout(5):
            message = await self.socket.receive()
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise ConnectionError(self.socket.close_code)
        data = message.data
        if self._unpacker is not None and isinstance(data, bytes):
            data = self._unpacker.decompress(data)
        elif isinstance(data, bytes):
            data = zlib.decompress(data)
        frame: Json = json.loads(data)
        self.sequence = frame["s"] if frame["s"] is not None else self.sequence
        return frame

    async def event(self, name: str) -> Json:
        """Return the next event of this name."""
        while True:
            frame = await self.receive()
            if frame["t"] == name:
                return frame

    async def close_code(self) -> int | None:
        """Read until the connection is closed and return the code."""
        try:
            while True:
                await self.receive()
        except ConnectionError:
            return self.socket.close_code

    async def close(self, code: int = 1000) -> None:
        await self.socket.close(code=code)


IMAGINE = {
    "name": "imagine",
    "description": "Paint a picture",
    "options": [
        {"type": 3, "name": "prompt", "description": "What to paint", "required": True, "max_length": 50},
        {"type": 4, "name": "seed", "description": "Where to begin", "min_value": 0, "max_value": 2**53 - 1},
        {"type": 3, "name": "model", "description": "Who paints", "autocomplete": True},
        {"type": 11, "name": "picture", "description": "What to begin with"},
    ],
}
