"""Reading the member API's requests: JSON or multipart, who acts and where."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import BodyPartReader, web

from sandbox.community.people import Person
from sandbox.community.places import Channel
from sandbox.community.world import Scene
from sandbox.errors import MemberError
from sandbox.platform.message import Message
from sandbox.state import State
from sandbox.storage.attachments import Upload

Json = dict[str, Any]


Item = TypeVar("Item")


@dataclass
class MemberRequest:
    """A request's JSON and its files in the order they came, by the name of their part."""

    body: Json
    state: State
    files: list[tuple[str, Upload]] = field(default_factory=list)

    @property
    def member(self) -> Person:
        return self.state.world.find_member(self.body.get("member"))

    @property
    def channel(self) -> Channel:
        return self.state.world.find_channel(self.body.get("channel"), self.member)

    @property
    def scene(self) -> Scene:
        return Scene(self.state.world, self.member, self.channel)

    @property
    def forged(self) -> bool:
        """Whether the request is one that only a modified client sends."""
        return self.body.get("forged") is True

    def text(self, key: str) -> str:
        """Return a field that must be a text."""
        value = self.body.get(key)
        if not isinstance(value, str) or not value:
            raise MemberError(f"The field “{key}” is missing.")
        return value

    def mapping(self, key: str) -> Json:
        value = self.body.get(key) or {}
        if not isinstance(value, dict):
            raise MemberError(f"The field “{key}” must be an object.")
        return value

    def listed(self, key: str, kind: type[Item]) -> list[Item]:
        """Return a field that must be a list of texts or of objects; absent, it is empty."""
        value = self.body.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise MemberError(f"The field “{key}” must be a list of {'objects' if kind is dict else 'texts'}.")
        return value

    def file_fields(self, channel: Channel) -> dict[str, list[Json]]:
        """Keep the files of parts named `file:FIELD` and return their attachment objects by field."""
        found: dict[str, list[Json]] = {}
        for part, upload in self.files:
            if not part.startswith("file:"):
                raise MemberError(f"A file's part is named “file:OPTION”, not “{part}”.")
            kept = self.state.files.keep(upload, self.state.ids.next(), channel.id, ephemeral=True)
            found.setdefault(part.removeprefix("file:"), []).append(self.state.files.json(kept))
        return found


async def read_request(request: web.Request, state: State) -> MemberRequest:
    """Read a request; raise MemberError where it can't be read or a file is too large for Discord."""
    parsed: Any = {}
    found: list[tuple[str, Upload]] = []
    try:
        if request.content_type == "multipart/form-data":
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    continue
                data = bytes(await part.read())
                if part.filename is None and part.name == "payload_json":
                    parsed = json.loads(data)
                elif part.filename is not None:
                    content_type = part.headers.get("Content-Type", "")
                    found.append((part.name or "", Upload(part.filename, content_type, data)))
        else:
            parsed = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise MemberError("The request is no valid JSON.") from error
    if not isinstance(parsed, dict):
        raise MemberError("The request must be a JSON object.")
    limit = state.faults.settings.attachment_size_limit
    for _, upload in found:
        if len(upload.data) > limit:
            raise MemberError(f"The file {upload.filename} is larger than {limit / 1024 / 1024:g} MiB.", 413)
    return MemberRequest(parsed, state, found)


def seconds(request: web.Request, key: str, most: float) -> float:
    """Return a time in seconds from the query, 0 where it is absent."""
    try:
        value = float(request.query.get(key, 0))
    except ValueError as error:
        raise MemberError(f"{key} must be a number of seconds.") from error
    if not 0 <= value <= most:
        raise MemberError(f"{key} must be between 0 and {most:g}.")
    return value


def visible_message(state: State, member: Person, channel: Channel | None, message_id: int | None) -> Message:
    """Return a message that the member sees, in `channel` where one is given; raise MemberError otherwise."""
    message = state.messages.find(message_id)
    elsewhere = message is not None and channel is not None and message.channel_id != channel.id
    if message is None or elsewhere or not state.messages.visible(message, member):
        raise MemberError("There is no such message here (any more).", 404)
    return message
