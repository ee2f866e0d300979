"""What tests ask of the sandbox besides a member's own deeds: faults, channels, permissions, time, the log."""

from __future__ import annotations

from typing import Any

from sandbox.client.requests import Client, File, Json


class Director(Client):
    """Changes the world; see docs/sandbox.md."""

    async def faults(self, **changes: Any) -> Json:
        """Make Discord misbehave; see docs/sandbox.md."""
        return await self._post("/sandbox/faults", changes)

    async def log(self, since: int = 0) -> list[Json]:
        """Return the bot's REST requests and their answers."""
        return list((await self._get("/sandbox/log", since=since))["entries"])

    async def post_as_app(self, body: Json, *files: File) -> Json:
        """Let another app than the bot send a message, as Discord's API takes it, and return it."""
        asked = {"member": self._name, "channel": self._channel, "app_message": body}
        return dict((await self._post("/sandbox/messages", asked, {"file": list(files)}))["message"])

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
