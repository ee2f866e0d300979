"""Discord's gateway, version 10: sessions that survive a lost connection, heartbeats, events in order.

https://discord.com/developers/docs/events/gateway
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.clock import Clock
from sandbox.community.people import EASEL
from sandbox.community.world import World
from sandbox.gateway.introductions import guild_create, members_chunks, ready
from sandbox.gateway.presences import custom_status
from sandbox.gateway.sessions import (
    GUILDS,
    MEMBERS,
    MOST_FRAMES_PER_MINUTE,
    PRIVILEGED,
    Connection,
    Session,
    compressor,
)
from sandbox.platform.hub import Hub
from sandbox.testing.faults import Drop, Faults

Json = dict[str, Any]

HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME = 1, 2, 3, 4, 6
RECONNECT, REQUEST_MEMBERS, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 7, 8, 9, 10, 11
UNKNOWN_ERROR, UNKNOWN_OPCODE, DECODE_ERROR, NOT_AUTHENTICATED, AUTHENTICATION_FAILED = range(4000, 4005)
ALREADY_AUTHENTICATED, INVALID_SEQUENCE, RATE_LIMITED, SESSION_TIMED_OUT = 4005, 4007, 4008, 4009
INVALID_SHARD, INVALID_VERSION, INVALID_INTENTS, DISALLOWED_INTENTS = 4010, 4012, 4013, 4014

MOST_BYTES = 4096  # of what a bot may send in one frame
SESSION_LIFETIME_S = 120.0  # how long a session without a connection can be resumed
IDENTIFY_EVERY_S = 5.0
DAY_S = 24 * 60 * 60.0
ACKNOWLEDGE_AFTER_S = 0.1
"""A heartbeat's answer takes its time on the way, as Discord's does: discord.py sends heartbeats from a thread, and
takes an answer that is there before that thread has noted the sending for one to the heartbeat before."""
_ALL_INTENTS = (1 << 26) - 1


class _Closed(Exception):
    """The connection is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Gateway:
    """Accepts bots and holds their sessions."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        hub: Hub,
        token: str,
        heartbeat_interval_s: float,
        faults: Faults,
        direct_messages: Callable[[], list[Json]],
    ) -> None:
        self._world = world
        self._clock = clock
        self._hub = hub
        self._token = token
        self._heartbeat_interval_s = heartbeat_interval_s
        self._faults = faults
        self._direct_messages = direct_messages
        self._sessions: dict[str, Session] = {}
        self._connections: set[Connection] = set()
        self._starts: deque[float] = deque()
        self.url = ""
        self.says = ""
        """What the bot wants to be shown beside its name."""
        hub.attach_bot(self.dispatch)

    @property
    def online(self) -> bool:
        return any(session.connection is not None for session in self._sessions.values())

    @property
    def session_start_limit(self) -> Json:
        """How many sessions a bot may still begin today, as `GET /gateway/bot` says it."""
        now = self._clock.now()
        while self._starts and now - self._starts[0] >= DAY_S:
            self._starts.popleft()
        total = self._faults.settings.session_starts
        return {
            "total": total,
            "remaining": max(total - len(self._starts), 0),
            "reset_after": int((self._starts[0] + DAY_S - now) * 1000) if self._starts else 0,
            "max_concurrency": 1,
        }

    def dispatch(self, event: str, data: Json) -> None:
        now = self._clock.now()
        for session in list(self._sessions.values()):
            if session.left_at is not None and now - session.left_at > SESSION_LIFETIME_S:
                del self._sessions[session.id]
            else:
                session.dispatch(event, data)

    async def close(self) -> None:
        for connection in tuple(self._connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    def cut(self) -> None:
        """Break every connection without a word."""
        for connection in tuple(self._connections):
            connection.cut()

    def forget_sessions(self) -> None:
        """Break every connection, and let no session of before be resumed."""
        self._sessions.clear()
        self.cut()

    async def drop(self, how: Drop) -> None:
        """Disturb every connection: `close`, `reconnect`, `invalid_session` or `silent`."""
        for connection in tuple(self._connections):
            if how == "close":
                await connection.socket.close(code=UNKNOWN_ERROR)
            elif how == "reconnect":
                connection.send({"op": RECONNECT, "d": None})
            elif how == "invalid_session":
                for session in list(self._sessions.values()):
                    if session.connection is connection:
                        del self._sessions[session.id]
                connection.send({"op": INVALID_SESSION, "d": False})
            else:
                connection.silent = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends; during an outage, close it unanswered."""
        if self._faults.settings.outage:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        try:
            packing = compressor(request.query.get("compress"))
            if request.query.get("encoding", "json") != "json":
                raise ValueError(request.query["encoding"])
        except ValueError as unknown:
            return web.Response(status=400, text=f"{unknown} is not spoken here: encoding=json, compress=zlib-stream.")
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        connection = Connection(socket, request.transport, packing)
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        session: Session | None = None
        try:
            if request.query.get("v", "10") != "10":
                raise _Closed(INVALID_VERSION, "Invalid API version.")
            interval_ms = int(self._heartbeat_interval_s * 1000)
            connection.send({"op": HELLO, "d": {"heartbeat_interval": interval_ms, "_trace": []}})
            deadline = self._next_deadline()
            while True:
                frame = await self._receive(connection, deadline)
                if frame is None:
                    break
                if frame["op"] == HEARTBEAT:
                    deadline = self._next_deadline()
                    if not connection.silent:
                        acknowledgement = {"op": HEARTBEAT_ACK, "d": None}
                        asyncio.get_running_loop().call_later(ACKNOWLEDGE_AFTER_S, connection.send, acknowledgement)
                elif frame["op"] != IDENTIFY or self._identifies(connection):
                    session = self._act(connection, session, frame)
        except _Closed as reason:
            await asyncio.sleep(0)  # let the writer send what was queued before
            await socket.close(code=reason.code, message=str(reason).encode())
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._connections.discard(connection)
            if session is not None and session.connection is connection:
                session.connection = None
                session.left_at = self._clock.now()
                self._tell_presence()
        return socket

    def _next_deadline(self) -> float:
        """Return until when (on the loop's clock) the next heartbeat must come."""
        return asyncio.get_running_loop().time() + self._heartbeat_interval_s * 1.5

    async def _receive(self, connection: Connection, deadline: float) -> Json | None:
        """Return the next frame, or None when the bot has gone."""
        try:
            async with asyncio.timeout_at(deadline):
                message = await connection.socket.receive()
        except TimeoutError:
            raise _Closed(UNKNOWN_ERROR, "No heartbeat came in time.") from None
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        now = self._clock.now()
        if len(connection.recent) == MOST_FRAMES_PER_MINUTE and now - connection.recent[0] < 60:
            raise _Closed(RATE_LIMITED, "You are being rate limited.")
        connection.recent.append(now)
        if len(message.data) > MOST_BYTES:
            raise _Closed(DECODE_ERROR, "Error while decoding payload.")
        try:
            frame = json.loads(message.data)
        except ValueError:
            raise _Closed(DECODE_ERROR, "Error while decoding payload.") from None
        if not isinstance(frame, dict) or not isinstance(frame.get("op"), int):
            raise _Closed(DECODE_ERROR, "Error while decoding payload.")
        return frame

    def _act(self, connection: Connection, session: Session | None, frame: Json) -> Session | None:
        operation, data = frame["op"], frame.get("d")
        if session is not None and session.id not in self._sessions:
            session = None  # it was declared invalid: the bot may identify anew on the same connection
        if operation in (IDENTIFY, RESUME):
            if session is not None:
                raise _Closed(ALREADY_AUTHENTICATED, "Already authenticated.")
            if not isinstance(data, dict):
                raise _Closed(DECODE_ERROR, "Error while decoding payload.")
            if str(data.get("token", "")).removeprefix("Bot ").strip() != self._token:
                raise _Closed(AUTHENTICATION_FAILED, "Authentication failed.")
            return (self._identify if operation == IDENTIFY else self._resume)(connection, data)
        if operation not in (PRESENCE, VOICE, REQUEST_MEMBERS):
            raise _Closed(UNKNOWN_OPCODE, "Unknown opcode.")
        if session is None:
            raise _Closed(NOT_AUTHENTICATED, "Not authenticated.")
        if operation == REQUEST_MEMBERS and isinstance(data, dict):
            for chunk in members_chunks(self._world, data):
                session.dispatch("GUILD_MEMBERS_CHUNK", chunk)
        if operation == PRESENCE:
            self._take_presence(data)
        return session

    def _take_presence(self, data: object) -> None:
        try:
            self.says = custom_status(data)
        except ValueError as error:
            raise _Closed(DECODE_ERROR, str(error)) from error
        self._tell_presence()

    def _identifies(self, connection: Connection) -> bool:
        """Say whether bots may identify just now; where not, tell this one in the way that was asked for."""
        how = self._faults.settings.refuse_identify
        if how == "close":
            raise _Closed(UNKNOWN_ERROR, "Unknown error.")
        if how is None and self._faults.settings.rate_limits:
            if not self.session_start_limit["remaining"]:
                raise _Closed(AUTHENTICATION_FAILED, "Authentication failed.")  # Discord resets the token
            if self._starts and self._clock.now() - self._starts[-1] < IDENTIFY_EVERY_S:
                how = "invalid_session"
        if how == "invalid_session":
            connection.send({"op": INVALID_SESSION, "d": False})
        return how is None

    def _identify(self, connection: Connection, data: Json) -> Session:
        intents = data.get("intents")
        if not isinstance(intents, int) or isinstance(intents, bool) or not 0 <= intents <= _ALL_INTENTS:
            raise _Closed(INVALID_INTENTS, "Invalid intent(s).")
        if intents & PRIVILEGED and not self._faults.settings.privileged_intents:
            raise _Closed(DISALLOWED_INTENTS, "Disallowed intent(s).")
        if not isinstance(data.get("properties"), dict):
            raise _Closed(DECODE_ERROR, "Error while decoding payload.")
        shard = data.get("shard", [0, 1])
        if shard != [0, 1]:
            raise _Closed(INVALID_SHARD, "Invalid shard.")
        connection.compress_payloads = bool(data.get("compress"))
        self.says = ""
        if data.get("presence") is not None:
            self._take_presence(data["presence"])
        self._starts.append(self._clock.now())
        session = Session(intents)
        self._sessions[session.id] = session
        self._connect(session, connection)
        own = {"session_id": session.id, "resume_gateway_url": self.url, "shard": shard}
        session.dispatch("READY", ready(self._world, self._faults.application_flags, self._direct_messages()) | own)
        if intents & GUILDS:
            for guild in self._world.guilds_of(EASEL):
                session.dispatch("GUILD_CREATE", guild_create(self._world, guild, everyone=bool(intents & MEMBERS)))
        return session

    def _resume(self, connection: Connection, data: Json) -> Session | None:
        session = self._sessions.get(str(data.get("session_id")))
        sequence = data.get("seq")
        if session is not None and isinstance(sequence, int) and sequence > session.sequence:
            raise _Closed(INVALID_SEQUENCE, "Invalid seq.")
        missed = [] if session is None else [e for e in session.events if e["s"] > int(sequence or 0)]
        if session is None or not isinstance(sequence, int) or len(missed) < session.sequence - sequence:
            connection.send({"op": INVALID_SESSION, "d": False})
            return None
        for event in missed:
            connection.send(event)
        self._connect(session, connection)
        session.dispatch("RESUMED", {"_trace": []})
        return session

    def _connect(self, session: Session, connection: Connection) -> None:
        session.connection = connection
        session.left_at = None
        self._tell_presence()

    def _tell_presence(self) -> None:
        self._hub.tell_members({"type": "presence", "online": self.online, "says": self.says})
