"""Servers ("guilds"): their roles, who is in them, and how Discord writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.community.people import JOINED, Person, Role
from sandbox.community.permissions import ALL, Permission

Json = dict[str, Any]
_NOTHING = (
    "icon description home_header splash discovery_splash banner application_id afk_channel_id system_channel_id "
    "widget_channel_id max_presences vanity_url_code rules_channel_id safety_alerts_channel_id "
    "public_updates_channel_id incidents_data"
)


@dataclass(frozen=True)
class Guild:
    """A server. `roles` begins with @everyone, whose id is the server's; `members` holds each one's other roles."""

    id: int
    name: str
    owner_id: int
    roles: tuple[Role, ...]
    members: dict[int, tuple[Role, ...]] = field(default_factory=dict)

    def permissions(self, person: Person) -> Permission:
        """Return what a person may do in the whole server, channels aside; nothing for who is not in it."""
        if person.id not in self.members:
            return Permission(0)
        bits = self.roles[0].permissions
        for role in self.members[person.id]:
            bits |= role.permissions
        return ALL if person.id == self.owner_id or bits & Permission.ADMINISTRATOR else bits

    def role_ids(self, person: Person) -> set[int]:
        """Return the ids of all roles of a member, @everyone included."""
        return {self.id, *(role.id for role in self.members.get(person.id, ()))}

    def member_json(self, person: Person, *, with_user: bool = True) -> Json:
        """Return Discord's guild member object."""
        member: Json = {
            "roles": [str(role.id) for role in self.members.get(person.id, ())],
            "flags": 0,
            "avatar": None,
            "banner": None,
            "nick": None,
            "joined_at": JOINED,
            "premium_since": None,
            "communication_disabled_until": None,
            "pending": False,
            "mute": False,
            "deaf": False,
        }
        return member | {"user": person.json()} if with_user else member

    def json(self) -> Json:
        """Return the server as `GET /guilds/{id}` answers it."""
        return {
            **dict.fromkeys(_NOTHING.split()),
            "id": str(self.id),
            "name": self.name,
            "owner_id": str(self.owner_id),
            "features": [],
            "region": "deprecated",
            "afk_timeout": 300,
            "system_channel_flags": 0,
            "widget_enabled": False,
            "verification_level": 0,
            "roles": [role.json() for role in self.roles],
            "default_message_notifications": 0,
            "mfa_level": 0,
            "explicit_content_filter": 0,
            "max_members": 500_000,
            "max_stage_video_channel_users": 50,
            "max_video_channel_users": 25,
            "premium_tier": 0,
            "premium_subscription_count": 0,
            "preferred_locale": "en-US",
            "premium_progress_bar_enabled": False,
            "nsfw": False,
            "nsfw_level": 0,
            "emojis": [],
            "stickers": [],
        }
