"""Messages: what one is, and everything that can happen to it. Who may do it is decided by the callers."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sandbox import errors, media, world
from sandbox.attachments import Attachment, Files, Upload
from sandbox.clock import Clock, iso
from sandbox.errors import DiscordError
from sandbox.hub import Hub
from sandbox.limits.messages import Draft, Flag, NewFile
from sandbox.snowflakes import Snowflakes
from sandbox.storage import Storage

Json = dict[str, Any]
_MENTION = re.compile(r"<@!?(\d+)>")
_SETTABLE = Flag.SUPPRESS_EMBEDS | Flag.SUPPRESS_NOTIFICATIONS | Flag.COMPONENTS_V2
DEFAULT, REPLY, CHAT_INPUT_COMMAND, CONTEXT_MENU_COMMAND = 0, 19, 20, 23  # message types


class Message(msgspec.Struct, kw_only=True):
    """A message as it is kept. Its `revision` grows with every change of any message."""

    id: int
    channel_id: int
    author_id: int
    created: float
    type: int = DEFAULT
    content: str = ""
    embeds: list[Json] = []
    components: list[Json] = []
    attachments: list[Attachment] = []
    flags: int = 0
    edited: float | None = None
    reference_id: int | None = None
    interaction_id: int | None = None
    interaction_metadata: Json | None = None
    visible_to: int | None = None
    revision: int = 0
    changed: float = 0.0

    @property
    def pending(self) -> bool:
        return bool(self.flags & Flag.LOADING)

    @property
    def version_2(self) -> bool:
        return bool(self.flags & Flag.COMPONENTS_V2)

    @property
    def empty(self) -> bool:
        if self.version_2:
            return not self.components
        return not (self.content.strip() or self.embeds or self.attachments or self.components)

    def files(self) -> dict[int, str]:
        """Return the names of its files by id."""
        return {attachment.id: attachment.filename for attachment in self.attachments}

    def visible_for(self, member: world.Person) -> bool:
        if self.visible_to is not None:
            return self.visible_to == member.id
        channel = world.channel(self.channel_id)
        return channel is not None and channel.recipient in (None, member)


class Messages:
    """All messages. Every change is kept on disk and told to bots and members before the call returns."""

    def __init__(self, clock: Clock, ids: Snowflakes, storage: Storage, files: Files, hub: Hub) -> None:
        self._clock = clock
        self._ids = ids
        self._storage = storage
        self._files = files
        self._hub = hub
        self._messages = {message.id: message for message in storage.load("message", Message)}
        self._revision = max((message.revision for message in self._messages.values()), default=0)
        self._attachments = {
            attachment.id: attachment for message in self._messages.values() for attachment in message.attachments
        }

    def get(self, channel_id: int, message_id: int | None) -> Message | None:
        message = self._messages.get(message_id or 0)
        return message if message is not None and message.channel_id == channel_id else None

    def find(self, message_id: int | None) -> Message | None:
        return self._messages.get(message_id or 0)

    def in_channel(self, channel_id: int) -> list[Message]:
        """Return a channel's messages, oldest first."""
        return sorted(
            (message for message in self._messages.values() if message.channel_id == channel_id),
            key=lambda message: message.id,
        )

    def create(self, message: Message, draft: Draft, uploads: dict[int, Upload]) -> Message:
        """Fill a new message from `draft`, keep it and announce it; raise where it would be empty."""
        message.content = draft.content or ""
        message.flags |= (draft.flags or 0) & _SETTABLE
        message.reference_id = draft.reference_id or message.reference_id
        if not draft.new_files:
            self._refuse_if_empty(message, draft.embeds, draft.components)
        self._fill(message, draft, uploads)
        self._messages[message.id] = message
        self._announce(message, "MESSAGE_CREATE", "message_create")
        return message

    def placeholder(self, message: Message) -> Message:
        """Keep and announce a message that a bot has promised (*Easel is thinking…*)."""
        message.flags |= Flag.LOADING
        self._messages[message.id] = message
        self._announce(message, "MESSAGE_CREATE", "message_create")
        return message

    def new(self, channel_id: int, author: world.Person) -> Message:
        """Return a blank message that is not kept yet."""
        return Message(id=self._ids.next(), channel_id=channel_id, author_id=author.id, created=self._clock.now())

    def edit(self, message: Message, draft: Draft, uploads: dict[int, Upload]) -> Message:
        """Change what `draft` mentions; raise, and change nothing, where Discord would refuse the result."""
        becoming = msgspec.structs.replace(message)
        if draft.flags is not None:  # Components V2 cannot be undone
            becoming.flags &= ~Flag.SUPPRESS_EMBEDS
            becoming.flags |= draft.flags & (Flag.SUPPRESS_EMBEDS | Flag.COMPONENTS_V2)
        becoming.content = message.content if draft.content is None else draft.content
        if draft.kept_attachments is not None:
            becoming.attachments = [one for one in message.attachments if one.id in draft.kept_attachments]
        embeds = message.embeds if draft.embeds is None else draft.embeds
        components = message.components if draft.components is None else draft.components
        if becoming.version_2 and (becoming.content or embeds):
            raise DiscordError(400, 50035, "Invalid Form Body", _legacy_fields(becoming.content))
        if not draft.new_files:
            self._refuse_if_empty(becoming, embeds, components)
        if not message.pending:
            becoming.edited = self._clock.now()
        becoming.flags &= ~Flag.LOADING
        dropped = [one for one in message.attachments if one not in becoming.attachments]
        for attachment in becoming.attachments:
            description = (draft.kept_attachments or {}).get(attachment.id)
            attachment.description = description or attachment.description
        self._fill(becoming, draft, uploads)
        for attachment in dropped:
            self._discard(attachment)
        self._messages[message.id] = becoming
        self._announce(becoming, "MESSAGE_UPDATE", "message_update")
        return becoming

    def delete(self, message: Message) -> None:
        del self._messages[message.id]
        self._storage.forget("message", message.id)
        for attachment in message.attachments:
            self._discard(attachment)
        gone = {"id": str(message.id), "channel_id": str(message.channel_id)}
        self._hub.tell_members({"type": "message_delete", **gone}, self._audience(message))
        if message.visible_to is None:
            self._hub.tell_bots("MESSAGE_DELETE", gone | _place(message.channel_id))

    def view(self, message: Message, *, with_reference: bool = True) -> Json:
        """Return Discord's message object."""
        embeds, components = media.show(message.embeds, message.components, self._files, self._attachments)
        shown_elsewhere = media.ids_in(message.embeds, message.components)
        body: Json = {
            "id": str(message.id),
            "type": message.type,
            "channel_id": str(message.channel_id),
            "author": world.PEOPLE[message.author_id].json(),
            "content": message.content,
            "timestamp": iso(message.created),
            "edited_timestamp": None if message.edited is None else iso(message.edited),
            "tts": False,
            "mention_everyone": False,
            "mentions": [person.json() for person in mentioned(message.content)],
            "mention_roles": [],
            "attachments": [self._files.json(one) for one in message.attachments if one.id not in shown_elsewhere],
            "embeds": embeds,
            "components": components,
            "pinned": False,
            "flags": message.flags,
        }
        if message.author_id == world.EASEL_ID:
            body["application_id"] = str(world.EASEL_ID)
        if message.interaction_metadata is not None:
            body["webhook_id"] = str(world.EASEL_ID)
            body["interaction_metadata"] = message.interaction_metadata
        if message.reference_id is not None:
            body["message_reference"] = {
                "type": 0,
                "channel_id": str(message.channel_id),
                "message_id": str(message.reference_id),
            } | _place(message.channel_id)
            original = self.get(message.channel_id, message.reference_id)
            if with_reference:
                body["referenced_message"] = None if original is None else self.view(original, with_reference=False)
        return body

    def member_view(self, message: Message) -> Json:
        """Return the message as the member API shows it."""
        interaction_id = None if message.interaction_id is None else str(message.interaction_id)
        return self.view(message) | {
            "revision": message.revision,
            "pending": message.pending,
            "sandbox": {"interaction_id": interaction_id},
        }

    def _fill(self, message: Message, draft: Draft, uploads: dict[int, Upload]) -> None:
        """Keep the draft's files and put its embeds and components into the message."""
        new = [self._keep(message, file, uploads[file.index]) for file in draft.new_files]
        message.attachments = [*message.attachments, *new]
        named = {attachment.filename: attachment for attachment in message.attachments}
        media.bind(draft.embeds or [], draft.components or [], named, self._attachments)
        if draft.embeds is not None:
            message.embeds = draft.embeds
        if draft.components is not None:
            message.components = draft.components

    def _keep(self, message: Message, file: NewFile, upload: Upload) -> Attachment:
        kept = self._files.keep(
            upload,
            self._ids.next(),
            message.channel_id,
            description=file.description,
            ephemeral=message.visible_to is not None,
            filename=file.filename,
        )
        self._attachments[kept.id] = kept
        return kept

    def _discard(self, attachment: Attachment) -> None:
        self._files.discard(attachment)
        self._attachments.pop(attachment.id, None)

    @staticmethod
    def _refuse_if_empty(message: Message, embeds: list[Json] | None, components: list[Json] | None) -> None:
        shown = [embed for embed in embeds or [] if set(embed) - {"type"}]
        filled = msgspec.structs.replace(message, embeds=shown, components=components or [])
        if filled.empty:
            raise errors.empty_message()

    @staticmethod
    def _audience(message: Message) -> int | None:
        if message.visible_to is not None:
            return message.visible_to
        channel = world.channel(message.channel_id)
        return channel.recipient.id if channel and channel.recipient else None

    def _announce(self, message: Message, event: str, frame_type: str) -> None:
        self._revision += 1
        message.revision = self._revision
        message.changed = self._clock.now()
        self._storage.save("message", message.id, message)
        self._hub.tell_members({"type": frame_type, "message": self.member_view(message)}, self._audience(message))
        if message.visible_to is None:  # a bot hears nothing of ephemeral messages but what REST answers
            author = world.PEOPLE[message.author_id]
            place = _place(message.channel_id)
            if place:
                place["member"] = author.member_json(with_user=False)
            self._hub.tell_bots(event, self.view(message) | place)


def mentioned(content: str) -> list[world.Person]:
    """Return the people whom a text mentions, each once."""
    ids = dict.fromkeys(int(number) for number in _MENTION.findall(content))
    return [world.PEOPLE[number] for number in ids if number in world.PEOPLE]


def _place(channel_id: int) -> Json:
    channel = world.channel(channel_id)
    return {} if channel is None or channel.recipient else {"guild_id": str(world.GUILD_ID)}


def _legacy_fields(content: str) -> Json:
    key = "content" if content else "embeds"
    message = f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
    return {key: {"_errors": [{"code": "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "message": message}]}}
