"""A member of the sandbox's server, for scripts and end-to-end tests: runs commands, presses buttons, reads replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.client.director import Director
from sandbox.client.requests import File as File
from sandbox.client.requests import Json as Json
from sandbox.client.requests import Refused as Refused
from sandbox.limits.components import walk

_POLL_S = 20.0


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


class Member(Director):
    """One member while the `async with` block lasts. Waiting methods raise Unanswered after `timeout_s`."""

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
        until: str = "replied",
        timeout_s: float = 30.0,
    ) -> Reply:
        """Submit the form that `opened` holds, with values by custom_id; wait for the first answer, as `click` does."""
        body = {"member": self._name, "interaction_id": opened.id, "values": dict(values)}
        parts = {f"file:{name}": listed for name, listed in (files or {}).items()}
        return await self._start("/sandbox/modals", body, parts, timeout_s, until)

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

    async def forward(self, message: Json, *, channel: str | None = None) -> Json:
        """Forward a message into a channel, or into one's own, and return the message that forwards it."""
        body = {"member": self._name, "channel": channel or self._channel, "message": message["id"]}
        return dict((await self._post("/sandbox/messages/forward", body))["message"])

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


def buttons_of(message: Json) -> list[Json]:
    """Return a message's buttons in their order."""
    return [component for component in walk(message["components"]) if component["type"] == 2]


def media_of(message: Json) -> list[Json]:
    """Return the files of a message, in its attachments, embeds and components."""
    found: list[Json] = list(message["attachments"])
    for snapshot in message.get("message_snapshots", ()):
        found += media_of(snapshot["message"])
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
