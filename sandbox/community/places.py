"""Where messages are: text channels, threads and direct messages, and how Discord writes them."""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox.clock import iso
from sandbox.community.people import EASEL_ID, Person

Json = dict[str, Any]
TEXT, DIRECT, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 11, 12  # channel types
ROLE, MEMBER = 0, 1  # what an overwrite is for
_KEPT_DAYS_MINUTES = 10080


class Overwrite(msgspec.Struct, frozen=True):
    """What a role or member may do in one channel other than in the server."""

    id: int
    type: int
    allow: int = 0
    deny: int = 0

    def json(self) -> Json:
        return {"id": str(self.id), "type": self.type, "allow": str(self.allow), "deny": str(self.deny)}


class Channel(msgspec.Struct, kw_only=True):
    """A place as it is kept. A thread has a parent; direct messages have a recipient and no server."""

    id: int
    type: int
    name: str = ""
    guild_id: int | None = None
    topic: str | None = None
    position: int = 0
    nsfw: bool = False
    overwrites: list[Overwrite] = []
    recipient: Person | None = None
    parent_id: int | None = None
    owner_id: int = 0
    created: float = 0.0
    joined: dict[int, float] = {}  # a thread's members, and since when
    archived: bool = False
    locked: bool = False

    @property
    def thread(self) -> bool:
        return self.type in (PUBLIC_THREAD, PRIVATE_THREAD)

    @property
    def place(self) -> Json:
        """What events say of where they happened, besides the channel."""
        return {} if self.guild_id is None else {"guild_id": str(self.guild_id)}

    def member_json(self, person_id: int) -> Json:
        """Return Discord's thread member object."""
        joined = iso(self.joined[person_id])
        return {"id": str(self.id), "user_id": str(person_id), "join_timestamp": joined, "flags": 0}

    def json(self, last_message_id: int | None = None) -> Json:
        """Return Discord's channel object."""
        body: Json = {
            "id": str(self.id),
            "type": self.type,
            "flags": 0,
            "last_message_id": None if last_message_id is None else str(last_message_id),
        }
        if self.recipient is not None:
            return body | {"recipients": [self.recipient.json()]}
        body |= self.place | {
            "name": self.name,
            "rate_limit_per_user": 0,
            "parent_id": None if self.parent_id is None else str(self.parent_id),
        }
        if not self.thread:
            return body | {
                "topic": self.topic,
                "position": self.position,
                "nsfw": self.nsfw,
                "permission_overwrites": [one.json() for one in self.overwrites],
            }
        body |= {
            "owner_id": str(self.owner_id),
            "message_count": 0,
            "member_count": len(self.joined),
            "total_message_sent": 0,
            "thread_metadata": {
                "archived": self.archived,
                "archive_timestamp": iso(self.created),
                "auto_archive_duration": _KEPT_DAYS_MINUTES,
                "locked": self.locked,
                "create_timestamp": iso(self.created),
            }
            | ({"invitable": True} if self.type == PRIVATE_THREAD else {}),
        }
        return body | ({"member": self.member_json(EASEL_ID)} if EASEL_ID in self.joined else {})
