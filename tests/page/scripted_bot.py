"""A bot without a library: enough of Discord's protocol to answer with whatever a test of the page wants to see.

It knows nothing of Easel's bot, so the page's tests need neither it nor the models.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from sandbox.server import DEFAULT_TOKEN

Json = dict[str, Any]
Answer = Callable[["ScriptedBot", Json], Awaitable[None]]

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
EPHEMERAL, COMPONENTS_V2 = 64, 32768


class ScriptedBot:
    """Answers each interaction by the function that `answers` holds for it.

    The key is a command's name, a component's or form's custom_id, or `autocomplete`. What has no answer gets none,
    as from a bot that hangs.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, token: str) -> None:
        self._session = session
        self._api = f"{base_url}/api/v10"
        # Discord refuses bots that do not say what they are in this form.
        agent = "DiscordBot (https://example.invalid/scripted, 1.0)"
        self._headers = {"Authorization": f"Bot {token}", "User-Agent": agent}
        self.application_id = ""
        self.answers: dict[str, Answer] = {}
        self.interactions: list[Json] = []
        self._arrival = asyncio.Condition()

    async def request(
        self, method: str, path: str, payload: Any = None, files: Mapping[str, bytes] | None = None
    ) -> Any:
        """Send one REST request; `files` go as Discord's `files[n]`, announced in `attachments`."""
        data: aiohttp.FormData | None = None
        if files:
            names = list(files)
            announced = [{"id": n, "filename": name} for n, name in enumerate(names)]
            target = payload.get("data", payload)
            target.setdefault("attachments", announced)
            data = aiohttp.FormData()
            data.add_field("payload_json", json.dumps(payload), content_type="application/json")
            for n, name in enumerate(names):
                data.add_field(f"files[{n}]", files[name], filename=name, content_type="image/png")
        kwargs: Json = {"data": data} if data else {"json": payload} if payload is not None else {}
        async with self._session.request(method, self._api + path, headers=self._headers, **kwargs) as response:
            body = await response.read()
            assert response.status < 300, f"{method} {path}: {response.status} {body.decode()}"
            return json.loads(body) if body else None

    async def respond(
        self, interaction: Json, type_: int, data: Json | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        """Answer an interaction: 4 a message, 5 later, 6 later and unseen, 7 an edit, 8 choices, 9 a form."""
        path = f"/interactions/{interaction['id']}/{interaction['token']}/callback"
        await self.request("POST", path, {"type": type_, "data": data or {}}, files)

    async def reply(self, interaction: Json, files: Mapping[str, bytes] | None = None, **data: Any) -> None:
        await self.respond(interaction, 4, data, files)

    async def edit_reply(self, interaction: Json, files: Mapping[str, bytes] | None = None, **data: Any) -> None:
        path = f"/webhooks/{self.application_id}/{interaction['token']}/messages/@original"
        await self.request("PATCH", path, data, files)

    async def send(self, channel_id: str, files: Mapping[str, bytes] | None = None, **data: Any) -> Json:
        message: Json = await self.request("POST", f"/channels/{channel_id}/messages", data, files)
        return message

    async def edit(self, message: Json, files: Mapping[str, bytes] | None = None, **data: Any) -> None:
        await self.request("PATCH", f"/channels/{message['channel_id']}/messages/{message['id']}", data, files)

    async def delete(self, message: Json) -> None:
        await self.request("DELETE", f"/channels/{message['channel_id']}/messages/{message['id']}")

    async def register(self, commands: list[Json]) -> None:
        await self.request("PUT", f"/applications/{self.application_id}/commands", commands)

    async def wait_for_interactions(self, count: int) -> None:
        """Return once that many have come in all."""
        async with asyncio.timeout(10), self._arrival:
            await self._arrival.wait_for(lambda: len(self.interactions) >= count)

    async def listen(self, socket: aiohttp.ClientWebSocketResponse, ready: asyncio.Event) -> None:
        """Speak the gateway's part until the socket closes."""
        sequence: int | None = None
        async with asyncio.TaskGroup() as tasks:
            async for frame in socket:
                event = json.loads(frame.data)
                sequence = event.get("s") or sequence
                if event["op"] == 1:
                    await socket.send_json({"op": 1, "d": sequence})
                elif event["t"] == "READY":
                    self.application_id = event["d"]["application"]["id"]
                    ready.set()
                elif event["t"] == "INTERACTION_CREATE":
                    tasks.create_task(self._answer(event["d"]))

    async def _answer(self, interaction: Json) -> None:
        async with self._arrival:
            self.interactions.append(interaction)
            self._arrival.notify_all()
        data = interaction["data"]
        if interaction["type"] == AUTOCOMPLETE:
            key = "autocomplete"
        else:
            key = data["name"] if interaction["type"] == COMMAND else data["custom_id"]
        if answer := self.answers.get(key):
            await answer(self, interaction)


def options_of(interaction: Json) -> Json:
    """Give a command's options by name."""
    return {option["name"]: option.get("value") for option in interaction["data"].get("options", [])}


@asynccontextmanager
async def scripted_bot(base_url: str, token: str = DEFAULT_TOKEN) -> AsyncIterator[ScriptedBot]:
    """Log a bot in; it is online within the block."""
    async with aiohttp.ClientSession() as session:
        bot = ScriptedBot(session, base_url, token)
        async with session.ws_connect(f"{base_url.replace('http', 'ws', 1)}/?v=10&encoding=json") as socket:
            hello = await socket.receive_json()
            assert hello["op"] == 10
            identity = {"token": token, "intents": 513, "properties": {"os": "linux", "browser": "", "device": ""}}
            await socket.send_json({"op": 2, "d": identity})
            ready = asyncio.Event()
            listening = asyncio.create_task(bot.listen(socket, ready))
            await asyncio.wait_for(ready.wait(), 10)
            yield bot
            await socket.close()
            await listening
