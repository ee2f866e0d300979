"""All messages, and everything that can happen to one. Who may do it is decided by the callers."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sandbox import errors
from sandbox.clock import Clock, iso
from sandbox.community.people import EASEL, EASEL_ID, Person
from sandbox.community.places import Channel
from sandbox.community.world import World
from sandbox.errors import DiscordError
from sandbox.limits.messages import Draft, Flag, NewFile
from sandbox.platform import media
from sandbox.platform.hub import Hub
from sandbox.platform.message import Message
from sandbox.storage.attachments import Attachment, Files, Upload
from sandbox.storage.database import Storage
from sandbox.storage.snowflakes import Snowflakes

Json = dict[str, Any]
_MENTION = re.compile(r"<@!?(\d+)>")
_SNAPSHOT = (
    *("type", "content", "mentions", "mention_roles", "attachments", "embeds"),
    *("timestamp", "edited_timestamp", "flags", "components"),
)
_SETTABLE = Flag.SUPPRESS_EMBEDS | Flag.SUPPRESS_NOTIFICATIONS | Flag.COMPONENTS_V2


class Messages:
    """All messages. Every change is kept on disk and told to bots and members before the call returns."""

    def __init__(self, world: World, clock: Clock, ids: Snowflakes, storage: Storage, files: Files, hub: Hub) -> None:
        self._world = world
        self._clock = clock
        self._ids = ids
        self._storage = storage
        self._files = files
        self._hub = hub
        self._messages: dict[int, Message] = {}
        self._channels: dict[int, dict[int, Message]] = {}
        for message in storage.load("message", Message):
            self._place(message)
        self._revision = max((message.revision for message in self._messages.values()), default=0)
        self._attachments = {
            attachment.id: attachment for message in self._messages.values() for attachment in message.all_attachments()
        }

    def get(self, channel_id: int, message_id: int | None) -> Message | None:
        message = self._messages.get(message_id or 0)
        return message if message is not None and message.channel_id == channel_id else None

    def find(self, message_id: int | None) -> Message | None:
        return self._messages.get(message_id or 0)

    def in_channel(self, channel_id: int) -> list[Message]:
        """Return a channel's messages, oldest first."""
        return list(self._channels.get(channel_id, {}).values())

    def visible(self, message: Message, member: Person) -> bool:
        """Say whether a member sees a message."""
        channel = self._world.channel(message.channel_id)
        return channel is not None and self._world.sees(member, channel) and message.visible_to in (None, member.id)

    def create(self, message: Message, draft: Draft, uploads: dict[int, Upload]) -> Message:
        """Fill a new message from `draft`, keep it and announce it; raise where it would be empty."""
        message.content = draft.content or ""
        message.flags |= (draft.flags or 0) & _SETTABLE
        message.reference_id = draft.reference_id or message.reference_id
        if not draft.new_files:
            self._refuse_if_empty(message, draft.embeds, draft.components)
        self._fill(message, draft, uploads)
        self._place(message)
        self._announce(message, "MESSAGE_CREATE", "message_create")
        return message

    def placeholder(self, message: Message) -> Message:
        """Keep and announce a message that a bot has promised (*Easel is thinking…*)."""
        message.flags |= Flag.LOADING
        self._place(message)
        self._announce(message, "MESSAGE_CREATE", "message_create")
        return message

    def forward(self, message: Message, original: Message) -> Message:
        """Let a new message forward another, as that is now."""
        copies = {one.id: self._files.copy(one, self._ids.next(), message.channel_id) for one in original.attachments}
        ids = {old: kept.id for old, kept in copies.items()}
        embeds, components = media.moved(original.embeds, original.components, ids)
        self._attachments |= {kept.id: kept for kept in copies.values()}
        message.flags |= Flag.HAS_SNAPSHOT
        message.snapshot = msgspec.structs.replace(
            original, embeds=embeds, components=components, attachments=list(copies.values())
        )
        self._place(message)
        self._announce(message, "MESSAGE_CREATE", "message_create")
        return message

    def new(self, channel_id: int, author: Person) -> Message:
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
        self._place(becoming)
        self._announce(becoming, "MESSAGE_UPDATE", "message_update")
        return becoming

    def delete(self, message: Message) -> None:
        channel = self._world.channel(message.channel_id)
        self._forget(message)
        if channel is not None and message.visible_to is None and self._world.sees(EASEL, channel):
            gone = {"id": str(message.id), "channel_id": str(message.channel_id)}
            self._hub.tell_bots("MESSAGE_DELETE", gone | channel.place)

    def delete_many(self, channel: Channel, messages: list[Message]) -> None:
        """Delete several messages of one channel at once."""
        for message in messages:
            self._forget(message)
        if self._world.sees(EASEL, channel):
            ids = [str(message.id) for message in messages if message.visible_to is None]
            self._hub.tell_bots("MESSAGE_DELETE_BULK", {"ids": ids, "channel_id": str(channel.id)} | channel.place)

    def forget_channel(self, channel_id: int) -> None:
        """Let go of a deleted channel's messages. Nobody is told of each, as on Discord."""
        for message in self.in_channel(channel_id):
            self._forget(message)

    def view(self, message: Message, *, with_reference: bool = True) -> Json:
        """Return Discord's message object."""
        embeds, components = media.show(message.embeds, message.components, self._files, self._attachments)
        shown_elsewhere = media.ids_in(message.embeds, message.components)
        body: Json = {
            "id": str(message.id),
            "type": message.type,
            "channel_id": str(message.channel_id),
            "author": self._world.person(message.author_id).json(),
            "content": message.content,
            "timestamp": iso(message.created),
            "edited_timestamp": None if message.edited is None else iso(message.edited),
            "tts": False,
            "mention_everyone": False,
            "mentions": [person.json() for person in self._mentioned(message.content)],
            "mention_roles": [],
            "attachments": [self._files.json(one) for one in message.attachments if one.id not in shown_elsewhere],
            "embeds": embeds,
            "components": components,
            "pinned": False,
            "flags": message.flags,
        }
        if message.author_id == EASEL_ID:
            body["application_id"] = str(EASEL_ID)
        if message.interaction_metadata is not None:
            body["webhook_id"] = str(EASEL_ID)
            body["interaction_metadata"] = message.interaction_metadata
        if message.snapshot is not None:
            original_place = {"channel_id": str(message.snapshot.channel_id), "message_id": str(message.snapshot.id)}
            body["message_reference"] = {"type": 1} | original_place | self._where(message.snapshot)
            shown = self.view(message.snapshot, with_reference=False)
            body["message_snapshots"] = [{"message": {key: shown[key] for key in _SNAPSHOT}}]
        elif message.reference_id is not None:
            body["message_reference"] = {
                "type": 0,
                "channel_id": str(message.channel_id),
                "message_id": str(message.reference_id),
            } | self._where(message)
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

    def _place(self, message: Message) -> None:
        self._messages[message.id] = message
        self._channels.setdefault(message.channel_id, {})[message.id] = message

    def _forget(self, message: Message) -> None:
        del self._messages[message.id]
        del self._channels[message.channel_id][message.id]
        self._storage.forget("message", message.id)
        for attachment in message.all_attachments():
            self._discard(attachment)
        gone = {"type": "message_delete", "id": str(message.id), "channel_id": str(message.channel_id)}
        self._hub.tell_members(gone, self._audience(message))
        self._hub.wake(message.id)

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

    def _audience(self, message: Message) -> list[int]:
        """Return whose open pages show a message."""
        return [one for one in self._hub.listening if self.visible(message, self._world.people[one])]

    def _announce(self, message: Message, event: str, frame_type: str) -> None:
        self._revision += 1
        message.revision = self._revision
        message.changed = self._clock.now()
        self._storage.save("message", message.id, message)
        if audience := self._audience(message):
            self._hub.tell_members({"type": frame_type, "message": self.member_view(message)}, audience)
        self._hub.wake(message.id)
        channel = self._world.channel(message.channel_id)
        assert channel is not None
        # A bot hears nothing of ephemeral messages but what REST answers.
        if message.visible_to is None and self._world.sees(EASEL, channel):
            author = self._world.person(message.author_id)
            guild = self._world.guild_of(channel)
            member = {} if guild is None else {"member": guild.member_json(author, with_user=False)}
            self._hub.tell_bots(event, self.view(message) | channel.place | member)

    def _mentioned(self, content: str) -> list[Person]:
        """Return the people whom a text mentions, each once."""
        ids = dict.fromkeys(int(number) for number in _MENTION.findall(content))
        return [self._world.people[number] for number in ids if number in self._world.people]

    def _where(self, message: Message) -> Json:
        channel = self._world.channel(message.channel_id)
        return {} if channel is None else channel.place


def _legacy_fields(content: str) -> Json:
    key = "content" if content else "embeds"
    message = f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
    return {key: {"_errors": [{"code": "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "message": message}]}}
