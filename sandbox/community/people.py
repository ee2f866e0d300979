"""People, the bot among them, and the roles that they can have: how Discord writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.community.permissions import Permission

Json = dict[str, Any]
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
    locale: str = "en-US"
    bot: bool = False
    crowd: bool = False  # one of the many who were made for a load test

    @property
    def direct_channel_id(self) -> int:
        """The id of this person's direct messages with the bot."""
        return self.id + 1000

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


EASEL = Person(EASEL_ID, "Easel", bot=True)
OTHER_APP = Person(EASEL_ID + 99, "Palette", bot=True)  # of whom there are messages and nothing else
