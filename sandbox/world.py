"""The one server of this Discord: who is in it, its channels and roles, and how Discord writes them.

Nothing here changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.errors import MemberError
from sandbox.permissions import EVERYONE, MODERATOR, Permission

Json = dict[str, Any]

TEXT, DIRECT = 0, 1  # channel types

GUILD_ID = 1_100_000_000_000_000_000
PICTURES_ID = 1_100_000_000_000_000_001
GENERAL_ID = 1_100_000_000_000_000_002
MODERATORS_ID = 1_100_000_000_000_000_011
BOTS_ID = 1_100_000_000_000_000_012
EASEL_ID = 1_100_000_000_000_000_100  # the bot's user and its application share an id, as on Discord
JOINED = "2024-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Role:
    id: int
    name: str
    permissions: Permission
    position: int
    color: int = 0
    managed: bool = False

    def json(self) -> Json:
        return {
            "id": str(self.id),
            "name": self.name,
            "permissions": str(int(self.permissions)),
            "position": self.position,
            "color": self.color,
            "colors": {"primary_color": self.color, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "managed": self.managed,
            "mentionable": False,
            "icon": None,
            "unicode_emoji": None,
            "flags": 0,
        }


@dataclass(frozen=True)
class Person:
    id: int
    name: str
    roles: tuple[Role, ...] = ()
    locale: str = "en-US"
    bot: bool = False

    @property
    def direct_channel_id(self) -> int:
        """The id of this person's direct messages with the bot."""
        return self.id + 1000

    @property
    def moderator(self) -> bool:
        return bool(self.permissions & Permission.MANAGE_MESSAGES)

    @property
    def permissions(self) -> Permission:
        bits = EVERYONE
        for role in self.roles:
            bits |= role.permissions
        return bits

    @property
    def avatar(self) -> str:
        return f"{self.id:032x}"

    def json(self) -> Json:
        """Return Discord's user object."""
        user: Json = {
            "id": str(self.id),
            "username": self.name.lower(),
            "global_name": None if self.bot else self.name,
            "discriminator": "0",
            "avatar": self.avatar,
            "public_flags": 0,
            "flags": 0,
            "primary_guild": None,
        }
        if self.bot:
            user |= {"username": self.name, "discriminator": "0001", "bot": True}
        return user

    def member_json(self, *, with_user: bool = True) -> Json:
        """Return Discord's guild member object."""
        member: Json = {
            "roles": [str(role.id) for role in self.roles],
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
        return member | {"user": self.json()} if with_user else member


@dataclass(frozen=True)
class Channel:
    id: int
    type: int
    name: str = ""
    topic: str | None = None
    position: int = 0
    recipient: Person | None = None

    def json(self, last_message_id: int | None = None) -> Json:
        last = None if last_message_id is None else str(last_message_id)
        if self.recipient is not None:
            return {
                "id": str(self.id),
                "type": DIRECT,
                "flags": 0,
                "last_message_id": last,
                "recipients": [self.recipient.json()],
            }
        return {
            "id": str(self.id),
            "type": TEXT,
            "flags": 0,
            "guild_id": str(GUILD_ID),
            "name": self.name,
            "topic": self.topic,
            "position": self.position,
            "nsfw": False,
            "parent_id": None,
            "rate_limit_per_user": 0,
            "permission_overwrites": [],
            "last_message_id": last,
        }


MODERATORS = Role(MODERATORS_ID, "Moderators", MODERATOR, 2, 0x3498DB)
BOTS = Role(BOTS_ID, "Easel", Permission(0), 1, managed=True)
ROLES = (Role(GUILD_ID, "@everyone", EVERYONE, 0), BOTS, MODERATORS)

EASEL = Person(EASEL_ID, "Easel", (BOTS,), bot=True)
MEMBERS = (
    Person(1_100_000_000_000_000_101, "Ada"),
    Person(1_100_000_000_000_000_102, "Grace", (MODERATORS,)),
    Person(1_100_000_000_000_000_103, "Linus"),
    Person(1_100_000_000_000_000_104, "Mei", locale="zh-CN"),
)
PEOPLE = {person.id: person for person in (*MEMBERS, EASEL)}
CHANNELS = (
    Channel(PICTURES_ID, TEXT, "pictures", "Ask Easel for pictures: type /", 0),
    Channel(GENERAL_ID, TEXT, "general", None, 1),
)
_EVERY_CHANNEL = {channel.id: channel for channel in CHANNELS} | {
    person.direct_channel_id: Channel(person.direct_channel_id, DIRECT, recipient=person) for person in MEMBERS
}


def channel(channel_id: int | None) -> Channel | None:
    """Return a channel of the server, or somebody's direct messages with the bot."""
    return None if channel_id is None else _EVERY_CHANNEL.get(channel_id)


def find_member(name: object) -> Person:
    """Return the member with this id or name; raise MemberError where there is none."""
    wanted = str(name or "").strip().lstrip("@").casefold()
    for person in MEMBERS:
        if wanted in (str(person.id), person.name.casefold()):
            return person
    names = ", ".join(person.name for person in MEMBERS)
    raise MemberError(f"There is no member “{name}” here; there are {names}.")


def find_channel(name: object, member: Person) -> Channel:
    """Return the channel with this id or name that `member` can see; no name means #pictures."""
    wanted = str(name or CHANNELS[0].id).strip().casefold()
    direct = _EVERY_CHANNEL[member.direct_channel_id]
    if wanted in (str(direct.id), f"@{EASEL.name.casefold()}"):
        return direct
    for candidate in CHANNELS:
        if wanted.lstrip("#") in (str(candidate.id), candidate.name):
            return candidate
    names = ", ".join(f"#{candidate.name}" for candidate in CHANNELS)
    raise MemberError(f"There is no channel “{name}” here; there are {names} and @{EASEL.name}.")


def guild_json() -> Json:
    """Return the server as `GET /guilds/{id}` answers it."""
    nothing = (
        "icon description home_header splash discovery_splash banner application_id afk_channel_id system_channel_id "
        "widget_channel_id max_presences vanity_url_code rules_channel_id safety_alerts_channel_id "
        "public_updates_channel_id incidents_data"
    )
    return {
        **dict.fromkeys(nothing.split()),
        "id": str(GUILD_ID),
        "name": "Easel Studio",
        "owner_id": str(MEMBERS[1].id),
        "features": [],
        "region": "deprecated",
        "afk_timeout": 300,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "verification_level": 0,
        "roles": [role.json() for role in ROLES],
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


def application_json() -> Json:
    """Return the bot's application as `GET /applications/@me` answers it."""
    return {
        "id": str(EASEL_ID),
        "name": EASEL.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": EASEL.json(),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": 0,
        "flags_new": "0",
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": MEMBERS[1].json(),
        "approximate_guild_count": 1,
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": ["bot", "applications.commands"],
    }
