"""A bot's gateway session, and the connection that it has or has lost."""

from __future__ import annotations

import asyncio
import json
import secrets
import zlib
from collections import deque
from typing import Any

from aiohttp import web

from sandbox.people import EASEL_ID

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


class Connection:
    """One WebSocket of a bot."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, *, stream: bool) -> None:
        self.socket = socket
        self._transport = transport
        self.silent = False
        self.compress_payloads = False
        self._compressor = zlib.compressobj() if stream else None
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
                    packed = self._compressor.compress(text.encode())
                    await self.socket.send_bytes(packed + self._compressor.flush(zlib.Z_SYNC_FLUSH))
                elif self.compress_payloads:
                    await self.socket.send_bytes(zlib.compress(text.encode()))
                else:
                    await self.socket.send_str(text)
            except ConnectionError:
                return
