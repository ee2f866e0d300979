"""What changes the world: channels and threads that are made, changed and deleted, and who is in a thread.

Every change is kept, and told to bots and open pages, before the call returns.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox.clock import Clock
from sandbox.community.people import EASEL, EASEL_ID, Person
from sandbox.community.places import Channel
from sandbox.community.world import World
from sandbox.platform.hub import Hub
from sandbox.platform.messages import Messages
from sandbox.storage.database import Storage

Json = dict[str, Any]


class Building:
    """Changes `world`; what an earlier run changed is taken up at the start."""

    def __init__(self, world: World, messages: Messages, clock: Clock, storage: Storage, hub: Hub) -> None:
        self._world = world
        self._messages = messages
        self._clock = clock
        self._storage = storage
        self._hub = hub
        kept = storage.load_text("channels")
        if kept is not None:
            world.channels = {channel.id: channel for channel in msgspec.json.decode(kept, type=list[Channel])}

    def create(self, channel: Channel) -> None:
        """Open a new channel or thread."""
        self._world.channels[channel.id] = channel
        if not channel.thread:
            self._hub.tell_bots("CHANNEL_CREATE", channel.json())
        elif self._world.sees(EASEL, channel):
            self._hub.tell_bots("THREAD_CREATE", channel.json() | {"newly_created": True})
        self._changed()

    def delete(self, channel: Channel) -> None:
        """Delete a channel with its messages, and a text channel's threads with it."""
        seen = self._world.sees(EASEL, channel)
        for thread in [one for one in self._world.channels.values() if one.parent_id == channel.id]:
            del self._world.channels[thread.id]
            self._messages.forget_channel(thread.id)
        del self._world.channels[channel.id]
        self._messages.forget_channel(channel.id)
        if not channel.thread:
            self._hub.tell_bots("CHANNEL_DELETE", channel.json())
        elif seen:
            told = ("id", "guild_id", "parent_id", "type")
            self._hub.tell_bots("THREAD_DELETE", {key: channel.json()[key] for key in told})
        self._changed()

    def change(self, channel: Channel, **fields: Any) -> None:
        """Change fields of a channel or thread; a bot that comes to see it learns of its threads."""
        seen_before = self._world.sees(EASEL, channel)
        for name, value in fields.items():
            setattr(channel, name, value)
        if channel.thread:
            if self._world.sees(EASEL, channel):
                self._hub.tell_bots("THREAD_UPDATE", channel.json())
        else:
            self._hub.tell_bots("CHANNEL_UPDATE", channel.json())
            if self._world.sees(EASEL, channel) and not seen_before:
                self._tell_threads(channel)
        self._changed()

    def join(self, thread: Channel, person: Person) -> None:
        """Take somebody into a thread."""
        if person.id in thread.joined:
            return
        seen_before = self._world.sees(EASEL, thread)
        thread.joined = {**thread.joined, person.id: self._clock.now()}
        if self._world.sees(EASEL, thread) and not seen_before:
            self._hub.tell_bots("THREAD_CREATE", thread.json())
        self._tell_membership(thread, added=person)

    def leave(self, thread: Channel, person: Person) -> None:
        """Let somebody leave a thread, or be removed from it."""
        if person.id not in thread.joined:
            return
        thread.joined = {key: since for key, since in thread.joined.items() if key != person.id}
        self._tell_membership(thread, removed=person)

    def _tell_membership(self, thread: Channel, added: Person | None = None, removed: Person | None = None) -> None:
        if self._world.sees(EASEL, thread) or removed is EASEL:
            guild = self._world.guild_of(thread)
            assert guild is not None
            about = [] if added is None else [thread.member_json(added.id) | {"member": guild.member_json(added)}]
            self._hub.tell_bots(
                "THREAD_MEMBERS_UPDATE",
                {
                    "id": str(thread.id),
                    "guild_id": str(thread.guild_id),
                    "member_count": len(thread.joined),
                    "added_members": about,
                    "removed_member_ids": [] if removed is None else [str(removed.id)],
                },
            )
        self._changed()

    def _tell_threads(self, channel: Channel) -> None:
        threads = [
            one for one in self._world.channels.values() if one.parent_id == channel.id and self._world.sees(EASEL, one)
        ]
        self._hub.tell_bots(
            "THREAD_LIST_SYNC",
            {
                "guild_id": str(channel.guild_id),
                "channel_ids": [str(channel.id)],
                "threads": [one.json() for one in threads],
                "members": [one.member_json(EASEL_ID) for one in threads if EASEL_ID in one.joined],
            },
        )

    def _changed(self) -> None:
        channels = list(self._world.channels.values())
        self._storage.save_text("channels", msgspec.json.encode(channels).decode())
        self._hub.tell_members({"type": "world"})
