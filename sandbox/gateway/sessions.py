"""A bot's gateway session, and the connection that it has or has lost."""

from __future__ import annotations

import asyncio
import importlib
import json
import secrets
import zlib
from collections import deque
from typing import Any, Protocol

from aiohttp import web

from sandbox.community.people import EASEL_ID

Json = dict[str, Any]

DISPATCH = 0
GUILDS, MEMBERS, MESSAGES, DIRECT_MESSAGES, CONTENT = 1 << 0, 1 << 1, 1 << 9, 1 << 12, 1 << 15  # intents
PRESENCES = 1 << 8
PRIVILEGED = MEMBERS | PRESENCES | CONTENT
KEPT_EVENTS = 2000
MOST_FRAMES_PER_MINUTE = 120
_HIDDEN_CONTENT = {"content": "", "embeds": [], "attachments": [], "components": []}


class Session:
    """What a bot has identified as. It outlives its connection."""

    def __init__(self, intents: int) -> None:
        self.id = secrets.token_hex(16)
        self.intents = intents
        self.sequence = 0
        self.events: deque[Json] = deque(maxlen=KEPT_EVENTS)
        self.connection: Connection | None = None
        self.left_at: float | None = None

    def dispatch(self, event: str, data: Json) -> None:
        """Number an event, keep it for a resumption and send it if there is a connection."""
        shown = self._shown(event, data)
        if shown is None:
            return
        self.sequence += 1
        frame = {"op": DISPATCH, "t": event, "s": self.sequence, "d": shown}
        self.events.append(frame)
        if self.connection is not None:
            self.connection.send(frame)

    def _shown(self, event: str, data: Json) -> Json | None:
        """Return what this session's intents let it see of an event."""
        if event.startswith(("GUILD_", "CHANNEL_", "THREAD_")) and not self.intents & GUILDS:
            return None
        if event == "THREAD_MEMBERS_UPDATE" and not self.intents & MEMBERS:
            touched = [member["user_id"] for member in data["added_members"]] + data["removed_member_ids"]
            return data if str(EASEL_ID) in touched else None
        if event.startswith("MESSAGE_"):
            direct = "guild_id" not in data
            if not self.intents & (DIRECT_MESSAGES if direct else MESSAGES):
                return None
            own = data.get("author", {}).get("id") == str(EASEL_ID)
            named = any(user["id"] == str(EASEL_ID) for user in data.get("mentions", ()))
            if "content" in data and not (self.intents & CONTENT or own or named or direct):
                return data | _HIDDEN_CONTENT
        return data


class Compressor(Protocol):
    """Packs a connection's frames in one stream."""

    def pack(self, frame: bytes) -> bytes:
        """Return the frame packed, complete for whoever reads the stream."""


class _Zlib:
    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def pack(self, frame: bytes) -> bytes:
        return self._stream.compress(frame) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class _Zstandard:
    def __init__(self, library: Any) -> None:
        self._stream = library.ZstdCompressor().compressobj()
        self._end_of_block = library.COMPRESSOBJ_FLUSH_BLOCK

    def pack(self, frame: bytes) -> bytes:
        packed: bytes = self._stream.compress(frame) + self._stream.flush(self._end_of_block)
        return packed


def compressor(name: str | None) -> Compressor | None:
    """Return what packs a connection that asks for `name`; without the zstandard library its frames go as text.

    Clients take both, because a frame says itself whether it is text. Raise ValueError for an unknown name.
    """
    if name == "zlib-stream":
        return _Zlib()
    if name == "zstd-stream":
        try:
            return _Zstandard(importlib.import_module("zstandard"))
        except ImportError:
            return None
    if name is not None:
        raise ValueError(name)
    return None


class Connection:
    """One WebSocket of a bot."""

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, compressor: Compressor | None
    ) -> None:
        self.socket = socket
        self._transport = transport
        self.silent = False
        self.compress_payloads = False
        self._compressor = compressor
        self._outbox: asyncio.Queue[Json] = asyncio.Queue()
        self.recent: deque[float] = deque(maxlen=MOST_FRAMES_PER_MINUTE)

    def cut(self) -> None:
        """Break the connection without a word."""
        if self._transport is not None:
            self._transport.close()

    def send(self, frame: Json) -> None:
        self._outbox.put_nowait(frame)

    async def write(self) -> None:
        """Send what is queued, in order, until the connection ends."""
        while True:
            text = json.dumps({"t": None, "s": None} | await self._outbox.get(), separators=(",", ":"))
            try:
                if self._compressor is not None:
                    await self.socket.send_bytes(self._compressor.pack(text.encode()))
                elif self.compress_payloads:
                    await self.socket.send_bytes(zlib.compress(text.encode()))
                else:
                    await self.socket.send_str(text)
            except ConnectionError:
                return
