"""A member of the sandbox's server, for scripts and end-to-end tests: runs commands, presses buttons, reads replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from sandbox.limits.components import walk

Json = dict[str, Any]
File = tuple[str, bytes]  # filename and content
_POLL_S = 20.0


class Refused(Exception):
    """The sandbox would not do it, as the Discord client would not; the message is one sentence."""


class Unanswered(Exception):
    """What was waited for did not come in time."""


@dataclass(frozen=True)
class Reply:
    """An interaction and what has come of it so far."""

    interaction: Json

    @property
    def id(self) -> str:
        return str(self.interaction["id"])

    @property
    def state(self) -> str:
        """One of sent, deferred, replied, modal, failed."""
        return str(self.interaction["state"])

    @property
    def failed_reason(self) -> str | None:
        return self.interaction["failed_reason"]  # type: ignore[no-any-return]

    @property
    def modal(self) -> Json | None:
        return self.interaction["modal"]  # type: ignore[no-any-return]

    @property
    def messages(self) -> list[Json]:
        return list(self.interaction["messages"])

    @property
    def message(self) -> Json:
        """The first message of the answer; raise Unanswered where there is none."""
        if not self.messages:
            raise Unanswered(self.failed_reason or f"The interaction is only {self.state}.")
        return self.messages[0]


class Member:
    """One member while the `async with` block lasts. Waiting methods raise Unanswered after `timeout_s`."""

    def __init__(self, url: str, name: str = "Ada", channel: str | None = None) -> None:
        """`channel` by id or name; without, the first that the member sees."""
        self._name = name
        self._channel = channel
        self._url = url
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._http = aiohttp.ClientSession(self._url, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def state(self) -> Json:
        """Return the server, its people, the bot, the commands and all visible messages."""
        return await self._get("/sandbox/state", member=self._name)

    async def command(
        self,
        command: str,
        options: Mapping[str, Any] | None = None,
        *,
        files: Mapping[str, File] | None = None,
        timeout_s: float = 30.0,
    ) -> Reply:
        """Run `/name option:value …` as typed, or the named command with `options`, and wait for its first answer.

        `files` are for attachment options. Raise Refused where the client would not send it.
        """
        body: Json = {"member": self._name, "channel": self._channel}
        if options is None and not files:
            body["text"] = command
        else:
            body |= {"name": command.removeprefix("/"), "options": dict(options or {})}
        parts = {f"file:{name}": [file] for name, file in (files or {}).items()}
        return await self._start("/sandbox/commands", body, parts, timeout_s)

    async def menu_command(self, name: str, *, message: Json, timeout_s: float = 30.0) -> Reply:
        """Run a command from a message's context menu and wait for its first answer."""
        body = {"member": self._name, "channel": message["channel_id"], "name": name}
        return await self._start("/sandbox/commands", body | {"target_message": message["id"]}, {}, timeout_s)

    async def complete(self, command: str, focused: str, **options: Any) -> list[Json]:
        """Return the choices that the bot offers for the option being typed."""
        body = {"member": self._name, "channel": self._channel, "name": command.removeprefix("/")}
        answer = await self._post("/sandbox/autocomplete", body | {"options": options, "focused": focused})
        return list(answer["choices"])

    async def click(
        self,
        message: Json,
        what: str,
        values: list[str] | None = None,
        *,
        until: str = "replied",
        timeout_s: float = 30.0,
    ) -> Reply:
        """Press a button, or choose `values` in a select, by custom_id or label; wait for the first answer.

        With `until="acknowledged"` a deferral that promises no answer ends the wait too.
        """
        body: Json = {"member": self._name, "message_id": message["id"]}
        body |= {"custom_id": _custom_id(message, what), "values": values}
        return await self._start("/sandbox/components", body, {}, timeout_s, until)

    async def submit(
        self,
        opened: Reply,
        values: Mapping[str, Any],
        *,
        files: Mapping[str, list[File]] | None = None,
        timeout_s: float = 30.0,
    ) -> Reply:
        """Submit the form that `opened` holds, with values by custom_id; wait for the first answer."""
        body = {"member": self._name, "interaction_id": opened.id, "values": dict(values)}
        parts = {f"file:{name}": listed for name, listed in (files or {}).items()}
        return await self._start("/sandbox/modals", body, parts, timeout_s)

    async def forge_click(
        self,
        message: Json,
        custom_id: str,
        values: list[str] | None = None,
        *,
        until: str = "replied",
        timeout_s: float = 30.0,
    ) -> Reply:
        """Press a button (with `values`: use a select) that the message may not have, as a modified client can."""
        body: Json = {"member": self._name, "message_id": message["id"], "forged": True}
        body |= {"custom_id": custom_id, "values": values}
        return await self._start("/sandbox/components", body, {}, timeout_s, until)

    async def forge_modal(
        self,
        custom_id: str,
        values: Mapping[str, Any],
        *,
        message: Json | None = None,
        until: str = "replied",
        timeout_s: float = 30.0,
    ) -> Reply:
        """Submit a form that was never opened, by its custom_id, on `message` where it would belong to one."""
        body: Json = {"member": self._name, "channel": self._channel, "forged": True}
        body |= {"custom_id": custom_id, "values": dict(values)}
        if message is not None:
            body["message_id"] = message["id"]
        return await self._start("/sandbox/modals", body, {}, timeout_s, until)

    async def settled(self, reply: Reply, *, timeout_s: float = 300.0, quiet_s: float = 15.0) -> Reply:
        """Wait until the answer is final, by the rule of docs/sandbox.md."""
        return await self._await(reply.id, "done", timeout_s, quiet=quiet_s)

    async def wait_for(self, message: Json, condition: Callable[[Json], object], *, timeout_s: float = 60.0) -> Json:
        """Return the message as soon as `condition` holds for it, following its edits."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        path = f"/sandbox/messages/{message['channel_id']}/{message['id']}"
        revision = 0
        while (remaining_s := deadline - loop.time()) > 0:
            wait = min(remaining_s, _POLL_S)
            answer = await self._get(path, member=self._name, changed_since=revision, wait=wait)
            message = answer["message"]
            if message["revision"] > revision and condition(message):
                return message
            revision = message["revision"]
        raise Unanswered(f"The message did not become as expected within {timeout_s:g} s: {message['content']!r}")

    async def write(self, content: str, *files: File) -> Json:
        """Send an ordinary message and return it."""
        body = {"member": self._name, "channel": self._channel, "content": content}
        answer = await self._post("/sandbox/messages", body, {"file": list(files)})
        return dict(answer["message"])

    async def delete(self, message: Json) -> None:
        """Delete a message, or dismiss an ephemeral one."""
        path = f"/sandbox/messages/{message['channel_id']}/{message['id']}"
        await self._send("DELETE", path, member=self._name)

    async def delete_many(self, messages: list[Json]) -> None:
        """Delete several messages of one channel at once, as a moderator's bulk deletion does."""
        body = {"member": self._name, "channel": messages[0]["channel_id"], "messages": [one["id"] for one in messages]}
        await self._post("/sandbox/messages/delete", body)

    async def pictures(self, message: Json) -> list[bytes]:
        """Return the pictures of a message as they were uploaded, wherever in it they are shown."""
        return [data for name, data in await self.files(message, "image/")]

    async def files(self, message: Json, kind: str = "") -> list[File]:
        """Return a message's files whose content type begins with `kind`."""
        found: list[File] = []
        for media in media_of(message):
            if media.get("content_type", "").startswith(kind):
                async with self._session.get(media["url"]) as response:
                    response.raise_for_status()
                    found.append((response.url.name, await response.read()))
        return found

    async def faults(self, **changes: Any) -> Json:
        """Make Discord misbehave; see docs/sandbox.md."""
        return await self._post("/sandbox/faults", changes)

    async def log(self, since: int = 0) -> list[Json]:
        """Return the bot's REST requests and their answers."""
        return list((await self._get("/sandbox/log", since=since))["entries"])

    async def create_channel(self, name: str, **more: Any) -> Json:
        """Open a channel (`type="text"`, `guild`, `nsfw`, `overwrites`) or thread (`public_thread`, `private_thread`,
        `parent`, `members`) and return it.
        """
        answer = await self._post("/sandbox/channels", {"member": self._name, "name": name, **more})
        return dict(answer["channel"])

    async def change_channel(self, channel: str, **changes: Any) -> Json:
        """Change a channel's or thread's name, topic, nsfw, archived, locked or overwrites, and return it."""
        return dict((await self._send("PATCH", f"/sandbox/channels/{channel}", changes))["channel"])

    async def delete_channel(self, channel: str) -> None:
        """Delete a channel or thread, by id or name."""
        await self._send("DELETE", f"/sandbox/channels/{channel}")

    async def add_to_thread(self, thread: str, member: str) -> None:
        """Take a member, or the bot by its name, into a thread."""
        await self._send("PUT", f"/sandbox/channels/{thread}/members/{member}")

    async def remove_from_thread(self, thread: str, member: str) -> None:
        """Let a member, or the bot by its name, leave a thread."""
        await self._send("DELETE", f"/sandbox/channels/{thread}/members/{member}")

    async def permit(self, command: str, *permissions: Json) -> Json:
        """Say who may use a command in this member's server (`all`: every command), as a manager does in its settings.

        Each permission is `{"role" | "member" | "channel": name or id, "allow": bool}`; `@everyone` and the channel
        `all` are known; without any, nothing is set. The member must manage the server, as Barbara does.
        """
        body = {"member": self._name, "permissions": list(permissions)}
        return await self._send("PUT", f"/sandbox/permissions/{command.removeprefix('/')}", body)

    async def advance(self, seconds: float) -> float:
        """Move the sandbox's clock on, and return what time it is there then, in seconds since 1970."""
        return float((await self._post("/sandbox/clock", {"advance_s": seconds}))["now"])

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("Use Member in an `async with` block.")
        return self._http

    async def _start(
        self, path: str, body: Json, parts: Mapping[str, list[File]], timeout_s: float, until: str = "replied"
    ) -> Reply:
        answer = await self._post(path, body, parts)
        return await self._await(answer["interaction_id"], until, timeout_s)

    async def _await(self, interaction_id: str, until: str, timeout_s: float, **query: float) -> Reply:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        path = f"/sandbox/interactions/{interaction_id}"
        while True:
            wait = max(min(deadline - loop.time(), _POLL_S), 0.0)
            answer = await self._get(path, until=until, wait=wait, **query)
            if answer["reached"]:
                return Reply(answer)
            if loop.time() >= deadline:
                raise Unanswered(f"No {'final answer' if until == 'done' else 'answer'} came within {timeout_s:g} s.")

    async def _get(self, path: str, **query: Any) -> Json:
        return await self._send("GET", path, **query)

    async def _send(self, method: str, path: str, body: Json | None = None, **query: Any) -> Json:
        params = {key: str(value) for key, value in query.items()}
        async with self._session.request(method, path, params=params, json=body) as response:
            return await _checked(response)

    async def _post(self, path: str, body: Json, parts: Mapping[str, list[File]] | None = None) -> Json:
        if not any((parts or {}).values()):
            async with self._session.post(path, json=body) as response:
                return await _checked(response)
        form = aiohttp.FormData(quote_fields=False)  # filenames as they are
        form.add_field("payload_json", json.dumps(body), content_type="application/json")
        for name, listed in (parts or {}).items():
            for filename, data in listed:
                form.add_field(name, data, filename=filename, content_type="application/octet-stream")
        async with self._session.post(path, data=form) as response:
            return await _checked(response)


async def _checked(response: aiohttp.ClientResponse) -> Json:
    if response.status == 204:
        return {}
    body: Json = await response.json()
    if response.status >= 400:
        raise Refused(body["error"])
    return body


def buttons_of(message: Json) -> list[Json]:
    """Return a message's buttons in their order."""
    return [component for component in walk(message["components"]) if component["type"] == 2]


def media_of(message: Json) -> list[Json]:
    """Return the files of a message, in its attachments, embeds and components."""
    found: list[Json] = list(message["attachments"])
    found += [embed[part] for embed in message["embeds"] for part in ("image", "thumbnail") if part in embed]
    for component in walk(message["components"]):
        found += [item["media"] for item in component.get("items") or []]
        found += [component[key] for key in ("media", "file") if key in component]
    return found


def text_of(message: Json) -> str:
    """Return all the words of a message: its content, embeds and text displays."""
    lines: list[str] = [message["content"]]
    for embed in message["embeds"]:
        lines += [embed.get("author", {}).get("name", ""), embed.get("title", ""), embed.get("description", "")]
        lines += [f"{field['name']}: {field['value']}" for field in embed.get("fields", ())]
        lines.append(embed.get("footer", {}).get("text", ""))
    lines += [part["content"] for part in walk(message["components"]) if "content" in part]
    return "\n".join(line for line in lines if line)


def _custom_id(message: Json, what: str) -> str:
    usable = [component for component in walk(message["components"]) if component.get("custom_id")]
    for component in usable:
        if component["custom_id"] == what:
            return what
    for component in usable:
        names = (component.get("label"), component.get("placeholder"), (component.get("emoji") or {}).get("name"))
        if what.casefold() in (str(name).casefold() for name in names if name):
            return str(component["custom_id"])
    offered = ", ".join(str(one.get("label") or one["custom_id"]) for one in usable) or "none"
    raise Refused(f"The message has no button “{what}”; it has {offered}.")
